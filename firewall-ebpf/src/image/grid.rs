//! The grid: one cell for each combination of address classes.
//!
//! A cell (`u32`) has the offset of a leaf: a `u16` for each [`CHUNK`] L4 classes, the number of a
//! chunk. A chunk has a byte for each of these classes, the index of the rule that decides; the
//! number of rule `i` is a `u16` that lies `2 (i + 1)` bytes before the leaf, and its item is found
//! by that number. Rule 0 is item 0, which is [`Item::NONE`](super::Item::NONE). Equal chunks are
//! stored once.

/// The L4 classes of a chunk of a grid.
pub const CHUNK: u32 = 64;

/// The offset of the number of the chunk of an L4 class in the leaf at `leaf`.
#[must_use]
#[inline(always)]
pub const fn chunk_number_at(leaf: u32, l4: u32) -> u32 {
    leaf.wrapping_add(l4 / CHUNK * 2)
}

/// The offset of the index for an L4 class in chunk `chunk` of those at `chunks`.
#[must_use]
#[inline(always)]
pub const fn chunk_index_at(chunks: u32, chunk: u32, l4: u32) -> u32 {
    chunks.wrapping_add(chunk.wrapping_mul(CHUNK).wrapping_add(l4 % CHUNK))
}

/// The offset of the number of rule `index` of the leaf at `leaf`.
#[must_use]
#[inline(always)]
pub const fn rule_number_at(leaf: u32, index: u32) -> u32 {
    leaf.wrapping_sub((index + 1) * 2)
}
