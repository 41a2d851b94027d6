//! Fuses the classes of the narrow fields into one, the L4 class.

use core::mem::offset_of;

use super::{
    hook::Hook,
    lookup::{direct, paged},
    trie::find,
};
use crate::{
    abi::Direction,
    field::{Field, FieldSet},
    image::{Memory, Reference, Section, Step, fused_class_at, option_class_at, option_group_at},
    packet::Packet,
    parse::{Headers, details, present},
};

/// The class of the narrow fields together.
#[inline(always)]
pub(super) fn l4_class<M: Memory + ?Sized, P: Packet + ?Sized>(
    image: &M,
    section: M::Head,
    used: FieldSet,
    packet: &P,
    headers: &Headers,
    hook: &impl Hook,
) -> u32 {
    let mut fused = 0_u32;
    let mut step = |field: Field, find_class: &dyn Fn(u32) -> u32| {
        if !used.has(field) {
            return;
        }
        let step = offset_of!(Section, steps) + size_of::<Step>() * field as usize;
        let of_step = |field: usize| image.field(section, step + field);
        let class = find_class(of_step(offset_of!(Step, lookup)));
        let table = of_step(offset_of!(Step, table));
        let next = if table == 0 {
            class
        } else {
            let classes = of_step(offset_of!(Step, classes));
            u32::from(image.u16(fused_class_at(table, classes, fused, class)))
        };
        fused = image.opaque_u32(next);
    };
    // The longest searches first, where the verifier has the fewest paths.
    if used.has_details() {
        step(Field::Options, &|lookup| {
            let group = |option: u8| image.u8(option_group_at(lookup, option));
            let groups = details::ip_options(packet, headers, group);
            u32::from(image.u16(option_class_at(lookup, groups)))
        });
        step(Field::SrcMac, &|lookup| {
            find::<3, M>(
                image,
                Reference::from_bits(lookup),
                image.opaque(details::src_mac(packet)),
                0,
            )
        });
        step(Field::DstMac, &|lookup| {
            find::<3, M>(
                image,
                Reference::from_bits(lookup),
                image.opaque(details::dst_mac(packet)),
                0,
            )
        });
        if hook.direction() == Direction::Out {
            step(Field::InInterface, &|lookup| {
                find::<2, M>(
                    image,
                    Reference::from_bits(lookup),
                    u64::from(hook.in_interface()) << 32,
                    0,
                )
            });
            step(Field::Mark, &|lookup| {
                find::<2, M>(
                    image,
                    Reference::from_bits(lookup),
                    u64::from(hook.mark()) << 32,
                    0,
                )
            });
        }
    }
    let no_ports = !headers.bit(present::PORTS) & 1;
    let no_message = !headers.bit(present::ICMP) & 1;
    step(Field::Protocol, &|lookup| {
        direct(image, lookup, headers.key.into())
    });
    step(Field::Sport, &|lookup| {
        paged(image, lookup, headers.sport, no_ports)
    });
    step(Field::Dport, &|lookup| {
        paged(image, lookup, headers.dport, no_ports)
    });
    step(Field::Icmp, &|lookup| {
        paged(image, lookup, headers.icmp, no_message)
    });
    step(Field::Interface, &|lookup| {
        find::<2, M>(
            image,
            Reference::from_bits(lookup),
            u64::from(hook.interface()) << 32,
            0,
        )
    });
    if !used.has_details() {
        return fused;
    }
    let headers = &headers.undecided(packet);
    step(Field::Vlan, &|lookup| {
        paged(image, lookup, details::vlan(packet), 0)
    });
    step(Field::Ethertype, &|lookup| {
        paged(image, lookup, details::ethertype(packet, headers), 0)
    });
    step(Field::Length, &|lookup| {
        paged(image, lookup, details::length(packet, headers), 0)
    });
    step(Field::Ttl, &|lookup| {
        direct(image, lookup, details::ttl(packet, headers).into())
    });
    step(Field::Traffic, &|lookup| {
        direct(image, lookup, details::traffic(packet, headers))
    });
    fused
}
