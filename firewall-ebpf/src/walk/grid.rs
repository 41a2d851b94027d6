//! Reads the grid: from the three classes of a packet to the rule that decides.

use core::mem::offset_of;

use super::{fields::fields, found::Found};
use crate::image::{CHUNK, Memory, Section};

/// The item of the rule that decides.
#[inline(always)]
pub(super) fn walk_grid<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    src: u32,
    dst: u32,
    l4: u32,
) -> Found {
    let (columns, items) = fields!(image, section, Section, dst_classes, grid_items);
    let (grid, chunks) = fields!(image, section, Section, grid, chunks);
    let cell = src.wrapping_mul(columns).wrapping_add(dst);
    let leaf = image.u32(grid.wrapping_add(cell.wrapping_mul(4)));
    let chunk = u32::from(image.u16(leaf.wrapping_add(l4 / CHUNK * 2)));
    let at = chunk.wrapping_mul(CHUNK).wrapping_add(l4 % CHUNK);
    let index = u32::from(image.u8(chunks.wrapping_add(at)));
    let number = u32::from(image.u16(leaf.wrapping_sub((index + 1) * 2)));
    Found {
        item: image.u64(items.wrapping_add(number * 8)),
        src_row: src,
        dst_row: dst,
    }
}
