//! The upper-layer class: the classes of the small fields, fused into one.

use core::mem::offset_of;

use crate::{
    details,
    headers::{Headers, present},
    image::{DETAILS, FIELD_PAGES, Field, Memory, NO_PAGE, PAGE, Section, Step},
    packet::Packet,
    search::find,
};

/// The class of the small fields together.
#[inline(always)]
pub(super) fn upper_class<M: Memory + ?Sized, P: Packet + ?Sized>(
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
        let key = u32::from(headers.key);
        u32::from(image.u16(lookup.wrapping_add(key * 2)))
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
    let direct = |lookup: u32, value: u32| u32::from(image.u16(lookup.wrapping_add(value * 2)));
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
        direct(lookup, details::ttl(packet, headers).into())
    });
    step(Field::Traffic, &|lookup| {
        direct(lookup, details::traffic(packet, headers))
    });
    fused
}

/// The class of a value of 16 bits, or with `absent` = 1 that of packets without it.
#[inline(always)]
fn paged<M: Memory + ?Sized>(image: &M, lookup: u32, value: u16, absent: u32) -> u32 {
    let value = u32::from(value);
    let high = (value >> 8) | (absent * NO_PAGE);
    let page = u32::from(image.u16(lookup.wrapping_add(high * 2)));
    let index = page.wrapping_mul(PAGE).wrapping_add(value & (PAGE - 1));
    let pages = lookup.wrapping_add(FIELD_PAGES);
    u32::from(image.u16(pages.wrapping_add(index.wrapping_mul(2))))
}
