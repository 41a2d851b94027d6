//! Search trees: from a digit to the interval that holds it.
//!
//! A search tree is a static B+ tree (Khuong, Morin: Array Layouts for Comparison-Based Searching,
//! 2017) in blocks of [`BLOCK`] bounds. The last level has all bounds, ascending; each level above
//! has the first bound of each block but the first of the level below. The first level is one
//! block, and each but the last is as long as its place in the tree allows, so that levels begin
//! at constant offsets ([`level_bytes`]). Bounds are stored as their complements
//! ([`stored_bound`]), for the sake of a comparison of four at once, and missing ones, which no
//! digit is above, as those of 65,535.

/// The bounds of a block of a search tree: two words of four.
pub const BLOCK: u32 = 8;

/// The bytes of a block.
pub const BLOCK_BYTES: u32 = BLOCK * 2;

/// The most levels of a search tree: the sixth has room for 8 * 37,449 bounds.
pub const MAX_LEVELS: u32 = 6;

/// The number of blocks in a level that is as long as it can be; the first is level 0.
#[must_use]
#[inline(always)]
pub const fn tree_level(level: u32) -> u32 {
    let mut blocks = 1;
    let mut above = 0;
    while above < level {
        blocks = blocks * BLOCK + 1;
        above += 1;
    }
    blocks
}

/// The bytes of a level that is as long as it can be.
#[must_use]
#[inline(always)]
pub const fn level_bytes(level: u32) -> u32 {
    tree_level(level) * BLOCK_BYTES
}

/// How a bound is stored; the same function gives back the bound.
#[must_use]
#[inline(always)]
pub const fn stored_bound(bound: u16) -> u16 {
    !bound
}

const _: () = assert!(MAX_LEVELS == 6 && tree_level(5) * BLOCK >= 0xffff);
