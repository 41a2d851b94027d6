//! The image walker: from the fields of a packet to what the image says of it.
//!
//! This module knows the layout of [`crate::image`] and nothing of how images are made. It runs
//! in the kernel, so that every loop has a constant bound and no operation can fail.

mod pairs;
mod rows;
mod upper;

use core::mem::offset_of;

use crate::{
    abi::Reason,
    headers::{Headers, present},
    image::{
        CHUNK, COUNT, DIRECT, MAX_COUNTS, MODE_CELLS, MODE_GRID, Memory, NO_MATCH, NONE, PASS,
        SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section,
    },
    packet::Packet,
    search::{find_ipv4, find_ipv6},
};
use pairs::walk_pairs;
use rows::walk_rows;
use upper::upper_class;

/// Fields of a section.
macro_rules! fields {
    ($image:ident, $head:ident, $of:ident, $($field:ident),+) => {
        ($($image.field($head, offset_of!($of, $field))),+)
    };
}
use fields;

/// Where the walker counts matches of `count` rules.
pub trait Counts {
    /// Counts the packet in `slot`, which has [`LOGS`](crate::image::LOGS) beside it when the rule
    /// logs.
    fn count(&mut self, slot: u32);
}

/// What the image says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rule with this counter slot passes it; a slot has [`LOGS`](crate::image::LOGS) beside it
    /// when the rule logs.
    Pass(u32),
    /// The rule with this counter slot drops it.
    Drop(u32),
    /// No rule decides; [`Header::drops`] has the verdict of the reason.
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
            find_ipv4(image, src, headers.src_high),
            find_ipv4(image, dst, headers.dst_high),
        )
    } else if headers.has(present::IPV6) {
        let head = image.head(SECTION_IPV6);
        let (src, dst) = fields!(image, head, Section, src, dst);
        (
            SECTION_IPV6,
            find_ipv6(image, src, headers.src_high, headers.src_low),
            find_ipv6(image, dst, headers.dst_high, headers.dst_low),
        )
    } else {
        // Opaque like the classes above, or else the verifier follows all that comes next for both.
        (SECTION_OTHER, image.opaque_u32(0), image.opaque_u32(0))
    };
    let section = image.head(image.opaque_u32(section));
    let (mode, steps_used) = fields!(image, section, Section, mode, steps_used);
    let upper = upper_class(image, section, steps_used, packet, headers, &interface);
    let entry = if mode == MODE_CELLS {
        walk_cells(image, section, src, dst, upper, counts)
    } else {
        let found = if mode == MODE_GRID {
            walk_grid(image, section, src, dst, upper)
        } else {
            walk_pairs(image, section, src, dst, upper)
        };
        let found = Found {
            item: image.opaque(found.item),
            src_row: image.opaque_u32(found.src_row),
            dst_row: image.opaque_u32(found.dst_row),
        };
        walk_rows(image, section, &found, upper, counts)
    };
    match entry & 3 {
        NO_MATCH if entry >> 2 != 0 => Judgement::NoRule(Reason::BadImage),
        NO_MATCH if headers.has(present::NEIGHBOUR) => Judgement::NoRule(Reason::Neighbour),
        NO_MATCH if headers.bit(present::IPV4) | headers.bit(present::IPV6) == 0 => {
            Judgement::NoRule(Reason::UnknownEthertype)
        }
        NO_MATCH => Judgement::NoRule(Reason::Policy),
        PASS => Judgement::Pass(entry >> 2),
        _ => Judgement::Drop(entry >> 2),
    }
}

/// Returned by a walk that left its bounds.
const BAD_IMAGE: u32 = 1 << 2 | NO_MATCH;

#[inline(always)]
fn walk_cells<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    upper: u32,
    counts: &mut C,
) -> u32 {
    let (dst_classes, upper_classes, cells) =
        fields!(image, section, Section, dst_classes, upper_classes, cells);
    let cell = src
        .wrapping_mul(dst_classes)
        .wrapping_add(dst)
        .wrapping_mul(upper_classes)
        .wrapping_add(upper);
    let mut at = image.u32(cells.wrapping_add(cell.wrapping_mul(4)));
    if at & DIRECT != 0 {
        return at & !DIRECT;
    }
    for _ in 0..=MAX_COUNTS {
        let entry = image.u32(at);
        if entry & 3 != COUNT {
            return entry;
        }
        counts.count(entry >> 2);
        at = at.wrapping_add(4);
    }
    BAD_IMAGE
}

/// What a grid or pairs say, before rules that count.
struct Found {
    /// The item that decides, or [`NONE`].
    item: u64,
    /// The row class of the source.
    src_row: u32,
    /// The row class of the destination.
    dst_row: u32,
}

#[inline(always)]
fn walk_grid<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    upper: u32,
) -> Found {
    let (columns, items) = fields!(image, section, Section, dst_classes, grid_items);
    let (grid, chunks) = fields!(image, section, Section, grid, chunks);
    let cell = src.wrapping_mul(columns).wrapping_add(dst);
    let leaf = image.u32(grid.wrapping_add(cell.wrapping_mul(4)));
    let chunk = u32::from(image.u16(leaf.wrapping_add(upper / CHUNK * 2)));
    let at = chunk.wrapping_mul(CHUNK).wrapping_add(upper % CHUNK);
    let index = u32::from(image.u8(chunks.wrapping_add(at)));
    let number = u32::from(image.u16(leaf.wrapping_sub((index + 1) * 2)));
    Found {
        item: image.u64(items.wrapping_add(number * 8)),
        src_row: src,
        dst_row: dst,
    }
}

/// What an item says, as an entry.
#[inline(always)]
fn entry(item: u64) -> u32 {
    if item == NONE {
        NO_MATCH
    } else {
        (item >> 16) as u32 & 0x00ff_ffff
    }
}
