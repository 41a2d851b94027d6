//! Reads the grid: from the three classes of a packet to the rule that decides.

use core::mem::offset_of;

use super::{fields::fields, found::Found};
use crate::image::{Item, Memory, Section, chunk_index_at, chunk_number_at, rule_number_at};

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
    let chunk = u32::from(image.u16(chunk_number_at(leaf, l4)));
    let index = u32::from(image.u8(chunk_index_at(chunks, chunk, l4)));
    let number = u32::from(image.u16(rule_number_at(leaf, index)));
    Found {
        item: Item::from_bits(image.u64(items.wrapping_add(number * 8))),
        src_row: src,
        dst_row: dst,
    }
}
