//! Tries: from the value of a field to its class, 16 bits a level.
//!
//! A node has a reference for each interval of its digits, or one for each digit, in
//! [pages](super::pages): the page numbers, and then, [`PAGE_NUMBERS`] bytes after the start of the
//! node, the pages. Interval `i` holds the digits above bound `i - 1` (from 0 for the first) up to
//! bound `i`, inclusive. A node of intervals is
//!
//! | at | of [`NODE_REFERENCES`](super::NODE_REFERENCES) | of [`NODE_PAIR`](super::NODE_PAIR) |
//! | --- | --- | --- |
//! | 0 | the [`NodeHead`] | the [`NodeHead`] |
//! | 8 | the [search tree](super::search_tree) | the references of even and odd intervals |
//! | 16 | | the search tree |
//! | after it | a reference for each interval | |

use super::pages::{PAGE, page_index};

/// The bytes of the page numbers of a node.
pub const PAGE_NUMBERS: u32 = PAGE * 2;

/// The offset of what follows the head of a node.
pub const AFTER_HEAD: u32 = 8;

/// The offset of the search tree of a node whose intervals alternate.
pub const AFTER_PAIR: u32 = 16;

/// How a node of intervals begins.
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | the number of bounds |
/// | 16-31 | the levels of their search tree |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeHead(u32);

impl NodeHead {
    /// The head of a node with at most 65,535 bounds.
    #[must_use]
    pub const fn new(bounds: u32, levels: u32) -> Self {
        Self(bounds | levels << 16)
    }

    /// The head in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The number of bounds.
    #[must_use]
    #[inline(always)]
    pub const fn bounds(self) -> u32 {
        self.0 & 0xffff
    }

    /// The levels of the search tree.
    #[must_use]
    #[inline(always)]
    pub const fn levels(self) -> u32 {
        self.0 >> 16
    }
}

/// The offset of the reference for `digit` in the node at `node`, when its page is number `page`.
#[must_use]
#[inline(always)]
pub const fn paged_reference_at(node: u32, page: u32, digit: u32) -> u32 {
    reference_at(node.wrapping_add(PAGE_NUMBERS), page_index(page, digit))
}

/// The offset of reference `index` of those at `references`.
#[must_use]
#[inline(always)]
pub const fn reference_at(references: u32, index: u32) -> u32 {
    references.wrapping_add(index.wrapping_mul(4))
}
