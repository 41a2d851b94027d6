//! Reads the direct table: from the three classes of a packet to the rule that decides.

use core::mem::offset_of;

use super::{counts::Counts, entry::BAD_IMAGE, fields::fields};
use crate::image::{COUNT, DIRECT, MAX_COUNTS, Memory, Section};

/// The entry of the rule that decides; rules that count and come before it are counted.
#[inline(always)]
pub(super) fn walk_direct_table<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    l4: u32,
    counts: &mut C,
) -> u32 {
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
    let mut at = image.u32(table.wrapping_add(cell.wrapping_mul(4)));
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
