//! From the fields of a packet to what the image says of it.

use core::mem::offset_of;

use super::{
    counts::Counts,
    direct_table::walk_direct_table,
    fields::fields,
    found::Found,
    grid::walk_grid,
    hook::Hook,
    pairs::walk_pairs,
    reduction::l4_class,
    rows::walk_rows,
    search::{find_ipv4, find_ipv6},
};
use crate::{
    abi::Reason,
    field::FieldSet,
    image::{
        Entry, Item, MODE_DIRECT_TABLE, MODE_GRID, Memory, NO_MATCH, PASS, Reference, RuleSlot,
        SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section, section_offset, state_offset,
    },
    packet::Packet,
    parse::{Headers, present},
};

/// What the image says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classification {
    /// The rule with this counter slot passes it.
    Pass(RuleSlot),
    /// The rule with this counter slot drops it.
    Drop(RuleSlot),
    /// No rule decides; the drops at [`Header::drops_at`](crate::image::Header::drops_at) have the
    /// verdict of the reason.
    NoRule(Reason),
}

/// Judges a packet, whose `headers` are known, by the sections of the direction of its hook.
#[inline(always)]
pub fn classify<M: Memory + ?Sized, P: Packet + ?Sized, C: Counts>(
    image: &M,
    packet: &P,
    headers: &Headers,
    hook: &impl Hook,
    counts: &mut C,
) -> Classification {
    let of_hook = |section: u32| section_offset(hook.direction(), section);
    let (section, src, dst) = if headers.has(present::IPV4) {
        let section = of_hook(SECTION_IPV4) + state_offset(hook.state());
        let head = image.head(section);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            section,
            find_ipv4(image, Reference::from_bits(src), headers.src_high),
            find_ipv4(image, Reference::from_bits(dst), headers.dst_high),
        )
    } else if headers.has(present::IPV6) {
        let section = of_hook(SECTION_IPV6) + state_offset(hook.state());
        let head = image.head(section);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            section,
            find_ipv6(
                image,
                Reference::from_bits(src),
                headers.src_high,
                headers.src_low,
            ),
            find_ipv6(
                image,
                Reference::from_bits(dst),
                headers.dst_high,
                headers.dst_low,
            ),
        )
    } else {
        // Opaque like the classes above, or else the verifier follows all that comes next for both.
        (
            of_hook(SECTION_OTHER),
            image.opaque_u32(0),
            image.opaque_u32(0),
        )
    };
    let section = image.head(image.opaque_u32(section));
    let (mode, steps_used) = fields!(image, section, Section, mode, steps_used);
    let steps_used = FieldSet::from_bits(steps_used);
    let l4 = l4_class(image, section, steps_used, packet, headers, hook);
    let entry = if mode == MODE_DIRECT_TABLE {
        walk_direct_table(image, section, src, dst, l4, counts)
    } else {
        let found = if mode == MODE_GRID {
            walk_grid(image, section, src, dst, l4)
        } else {
            walk_pairs(image, section, src, dst, l4)
        };
        let found = Found {
            item: Item::from_bits(image.opaque(found.item.bits())),
            src_row: image.opaque_u32(found.src_row),
            dst_row: image.opaque_u32(found.dst_row),
        };
        walk_rows(image, section, &found, l4, counts)
    };
    match entry.what() {
        NO_MATCH if entry != Entry::NO_MATCH => Classification::NoRule(Reason::BadImage),
        NO_MATCH if headers.has(present::NEIGHBOR) => Classification::NoRule(Reason::Neighbor),
        NO_MATCH if headers.bit(present::IPV4) | headers.bit(present::IPV6) == 0 => {
            Classification::NoRule(Reason::UnknownEthertype)
        }
        NO_MATCH => Classification::NoRule(Reason::Policy),
        PASS => Classification::Pass(entry.slot()),
        _ => Classification::Drop(entry.slot()),
    }
}
