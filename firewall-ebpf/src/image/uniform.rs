//! Uniform tries: small tries in which all keys are found by the same steps.
//!
//! A search for a key of 32 bits takes different paths through the nodes of a
//! [trie](super::trie), and each branch on the way is as random as packets are. In a uniform trie
//! no branch depends on the key. Its root ([`uniform_root`]) has pages of
//! the offsets of uniform nodes: search trees that all have that many levels, however few bounds
//! there are. After each block of the last level are the classes of the intervals that end or
//! begin there: [`UNIFORM_LEAF`] bytes from one such block to the next.

use super::{
    reference::{NODE_HASH, NODE_UNIFORM, Reference},
    search_tree::BLOCK_BYTES,
};

/// The maximum number of levels of the search trees of a uniform trie: room for 8 * 73 bounds.
pub const MAX_UNIFORM_LEVELS: u32 = 3;

/// The bytes from one block of the last level of a uniform node to the next: eight bounds and
/// nine classes.
pub const UNIFORM_LEAF: u32 = BLOCK_BYTES + 9 * 4 + 4;

/// The root at `offset` of a uniform trie of this many levels.
#[must_use]
pub const fn uniform_root(offset: u32, levels: u32) -> Reference {
    Reference::node(offset, NODE_UNIFORM + levels - 1)
}

/// The levels above the last in the search trees of the uniform trie at `root`.
#[must_use]
#[inline(always)]
pub const fn uniform_above_last(root: Reference) -> u32 {
    root.kind() - NODE_UNIFORM
}

/// The offset of the class of interval `interval` of the leaf block at `leaf`.
#[must_use]
#[inline(always)]
pub const fn uniform_class_at(leaf: u32, interval: u32) -> u32 {
    leaf.wrapping_add(BLOCK_BYTES + interval * 4)
}

const _: () = assert!(NODE_UNIFORM + MAX_UNIFORM_LEVELS <= NODE_HASH);
const _: () = assert!(UNIFORM_LEAF.is_multiple_of(8));
