//! Fuses the classes of the narrow fields into one, the L4 class.

use core::mem::offset_of;

use super::{
    lookup::{direct, paged},
    trie::find,
};
use crate::{
    field::{DETAILS, Field},
    image::{Memory, Section, Step},
    packet::Packet,
    parse::{Headers, details, present},
};

/// The class of the narrow fields together.
#[inline(always)]
pub(super) fn l4_class<M: Memory + ?Sized, P: Packet + ?Sized>(
    image: &M,
    section: M::Head,
    used: u32,
    packet: &P,
    headers: &Headers,
    interface: &impl Fn() -> u32,
) -> u32 {
    let mut fused = 0_u32;
    let mut step = |field: Field, find_class: &dyn Fn(u32) -> u32| {
        if used & (1 << field as u32) == 0 {
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
            let cell = fused.wrapping_mul(classes).wrapping_add(class);
            u32::from(image.u16(table.wrapping_add(cell.wrapping_mul(2))))
        };
        fused = image.opaque_u32(next);
    };
    // The longest searches first, where the verifier has the fewest paths.
    if used & DETAILS != 0 {
        step(Field::SrcMac, &|lookup| {
            find::<3, M>(image, lookup, image.opaque(details::src_mac(packet)), 0)
        });
        step(Field::DstMac, &|lookup| {
            find::<3, M>(image, lookup, image.opaque(details::dst_mac(packet)), 0)
        });
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
        find::<2, M>(image, lookup, u64::from(interface()) << 32, 0)
    });
    if used & DETAILS == 0 {
        return fused;
    }
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
