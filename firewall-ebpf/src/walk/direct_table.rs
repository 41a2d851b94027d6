//! Reads the direct table: from the three classes of a packet to the rule that decides.

use core::mem::offset_of;

use super::{counts::Counts, fields::fields};
use crate::image::{COUNT, Cell, Entry, MAX_COUNTS, Memory, Section};

/// The entry of the rule that decides; rules that count and come before it are counted.
#[inline(always)]
pub(super) fn walk_direct_table<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    l4: u32,
    counts: &mut C,
) -> Entry {
    let (dst_classes, l4_classes, table) = fields!(
        image,
        section,
        Section,
        dst_classes,
        l4_classes,
        direct_table
    );
    let cell = src
        .wrapping_mul(dst_classes)
        .wrapping_add(dst)
        .wrapping_mul(l4_classes)
        .wrapping_add(l4);
    let cell = Cell::from_bits(image.u32(table.wrapping_add(cell.wrapping_mul(4))));
    if let Some(entry) = cell.as_entry() {
        return entry;
    }
    let mut at = cell.offset();
    for _ in 0..=MAX_COUNTS {
        let entry = Entry::from_bits(image.u32(at));
        if entry.what() != COUNT {
            return entry;
        }
        counts.count(entry.slot());
        at = at.wrapping_add(4);
    }
    Entry::BAD_IMAGE
}
