//! Uniform tries: small tries in which all keys are found by the same steps.
//!
//! A search for a key of 32 bits takes different paths through the nodes of a
//! [trie](super::trie), and each branch on the way is as random as packets are. In a uniform trie
//! no branch depends on the key. Its root, of the kind `NODE_UNIFORM + levels - 1`, has pages of
//! the offsets of uniform nodes: search trees that all have that many levels, however few bounds
//! there are. After each block of the last level are the classes of the intervals that end or
//! begin there: [`UNIFORM_LEAF`] bytes from one such block to the next.

use super::reference::{NODE_HASH, NODE_UNIFORM};

/// The most levels of the search trees of a uniform trie: room for 8 * 73 bounds.
pub const MAX_UNIFORM_LEVELS: u32 = 3;
/// The bytes from one block of the last level of a uniform node to the next: eight bounds and
/// nine classes.
pub const UNIFORM_LEAF: u32 = 16 + 9 * 4 + 4;

const _: () = assert!(NODE_UNIFORM + MAX_UNIFORM_LEVELS <= NODE_HASH);
const _: () = assert!(UNIFORM_LEAF.is_multiple_of(8));
