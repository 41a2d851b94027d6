//! From the fields of a packet to what the image says of it.

use core::mem::offset_of;

use super::{
    counts::Counts,
    direct_table::walk_direct_table,
    fields::fields,
    found::Found,
    grid::walk_grid,
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
        SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section,
    },
    packet::Packet,
    parse::{Headers, present},
};

/// What the image says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rule with this counter slot passes it.
    Pass(RuleSlot),
    /// The rule with this counter slot drops it.
    Drop(RuleSlot),
    /// No rule decides; [`Header::drops`](crate::image::Header::drops) has the verdict of the reason.
    NoRule(Reason),
}

/// Judges a packet, whose `headers` are known, that arrived on the interface whose index `interface`
/// says, which is asked when there are rules for interfaces.
#[inline(always)]
pub fn judge<M: Memory + ?Sized, P: Packet + ?Sized, C: Counts>(
    image: &M,
    packet: &P,
    headers: &Headers,
    interface: impl Fn() -> u32,
    counts: &mut C,
) -> Judgement {
    let (section, src, dst) = if headers.has(present::IPV4) {
        let head = image.head(SECTION_IPV4);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            SECTION_IPV4,
            find_ipv4(image, Reference::from_bits(src), headers.src_high),
            find_ipv4(image, Reference::from_bits(dst), headers.dst_high),
        )
    } else if headers.has(present::IPV6) {
        let head = image.head(SECTION_IPV6);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            SECTION_IPV6,
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
        (SECTION_OTHER, image.opaque_u32(0), image.opaque_u32(0))
    };
    let section = image.head(image.opaque_u32(section));
    let (mode, steps_used) = fields!(image, section, Section, mode, steps_used);
    let steps_used = FieldSet::from_bits(steps_used);
    let l4 = l4_class(image, section, steps_used, packet, headers, &interface);
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
        NO_MATCH if entry != Entry::NO_MATCH => Judgement::NoRule(Reason::BadImage),
        NO_MATCH if headers.has(present::NEIGHBOUR) => Judgement::NoRule(Reason::Neighbour),
        NO_MATCH if headers.bit(present::IPV4) | headers.bit(present::IPV6) == 0 => {
            Judgement::NoRule(Reason::UnknownEthertype)
        }
        NO_MATCH => Judgement::NoRule(Reason::Policy),
        PASS => Judgement::Pass(entry.slot()),
        _ => Judgement::Drop(entry.slot()),
    }
}
