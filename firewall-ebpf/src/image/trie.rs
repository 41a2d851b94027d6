//! Tries: from the value of a field to its class, 16 bits a level.
//!
//! A node has a reference for each interval of its digits, or one for each digit, in pages.
//! Interval `i` holds the digits above bound `i - 1` (from 0 for the first) up to bound `i`,
//! inclusive. The head of a node is `count: u16, levels: u16`, the number of bounds and of the
//! levels of their [search tree](super::search_tree), and padding to 8.

/// The bytes of the page numbers of a node.
pub const PAGE_NUMBERS: u32 = 512;
