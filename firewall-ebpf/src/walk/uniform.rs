//! Searches a uniform trie for the class of an address.

use super::{search_tree::bounds_below, trie::paged_entry};
use crate::image::{
    BLOCK, BLOCK_BYTES, MAX_UNIFORM_LEVELS, Memory, Reference, UNIFORM_LEAF, level_bytes,
    uniform_above_last, uniform_class_at,
};

/// The class of the key in the upper 32 bits of `key`, in the uniform trie at `root`.
#[inline(always)]
pub(super) fn find_uniform<M: Memory + ?Sized>(image: &M, root: Reference, key: u64) -> u32 {
    let above_last = uniform_above_last(root);
    let mut level = paged_entry(image, root.offset(), (key >> 48) as u32);
    let digit = (key >> 32) as u32 & 0xffff;
    let mut index = 0_u32;
    for depth in 0..MAX_UNIFORM_LEVELS - 1 {
        if depth == above_last {
            break;
        }
        let above = bounds_below(image, level.wrapping_add(index * BLOCK_BYTES), digit);
        index = image.opaque_u32(index.wrapping_mul(BLOCK).wrapping_add(above));
        level = image.opaque_u32(level.wrapping_add(level_bytes(depth)));
    }
    let leaf = level.wrapping_add(index.wrapping_mul(UNIFORM_LEAF));
    let interval = bounds_below(image, leaf, digit);
    image.u32(uniform_class_at(leaf, interval))
}
