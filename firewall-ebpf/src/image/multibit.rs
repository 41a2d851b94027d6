//! Multibit tries: small tries of IPv4 addresses with an entry for every value of a level's bits
//! (Srinivasan, Varghese: Fast Address Lookups Using Controlled Prefix Expansion, 1999).
//!
//! Each level takes 8 bits, and has a `u16` for each value of them: the class in the last level,
//! and else the number of the node below. Node `n` lies `n` times [`MULTIBIT_NODE`] bytes after the
//! root, which is node 0. Keys that need fewer levels walk through nodes whose entries are all the
//! same.

use super::pages::PAGE;

/// The levels of a multibit trie, each of which takes 8 bits of the key.
pub const MULTIBIT_LEVELS: u32 = 4;
/// The bytes of a node of a multibit trie.
const MULTIBIT_NODE: u32 = PAGE * 2;

/// The bits of a key below those that the levels of a multibit trie up to this one take.
#[must_use]
#[inline(always)]
pub const fn multibit_below(level: u32) -> u32 {
    8 * (MULTIBIT_LEVELS - 1 - level)
}

/// The offset of the entry for `digit` in node `node` of the multibit trie at `root`.
#[must_use]
#[inline(always)]
pub const fn multibit_entry_at(root: u32, node: u32, digit: u32) -> u32 {
    root.wrapping_add(node.wrapping_mul(MULTIBIT_NODE))
        .wrapping_add(digit * 2)
}

const _: () = assert!(1 << (multibit_below(0) / (MULTIBIT_LEVELS - 1)) == PAGE);
