//! Searches a uniform trie for the class of an address.

use super::{search_tree::bounds_below, trie::page_entry};
use crate::image::{
    BLOCK, MAX_UNIFORM_LEVELS, Memory, NODE_KIND, NODE_UNIFORM, UNIFORM_LEAF, tree_level,
};

/// The class of the key in the upper 32 bits of `key`, in the uniform trie at `root`.
#[inline(always)]
pub(super) fn find_uniform<M: Memory + ?Sized>(image: &M, root: u32, key: u64) -> u32 {
    const BLOCK_BYTES: u32 = BLOCK * 2;
    let above_last = (root & NODE_KIND) - NODE_UNIFORM;
    let mut level = page_entry(image, root & !NODE_KIND, (key >> 48) as u32);
    let digit = (key >> 32) as u32 & 0xffff;
    let mut index = 0_u32;
    for depth in 0..MAX_UNIFORM_LEVELS - 1 {
        if depth == above_last {
            break;
        }
        let above = bounds_below(image, level.wrapping_add(index * BLOCK_BYTES), digit);
        index = image.opaque_u32(index.wrapping_mul(BLOCK).wrapping_add(above));
        level = image.opaque_u32(level.wrapping_add(tree_level(depth) * BLOCK_BYTES));
    }
    let leaf = level.wrapping_add(index.wrapping_mul(UNIFORM_LEAF));
    let interval = bounds_below(image, leaf, digit);
    image.u32(leaf.wrapping_add(BLOCK_BYTES + interval * 4))
}
