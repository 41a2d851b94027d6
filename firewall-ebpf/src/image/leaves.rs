//! Leaves: lists of items.
//!
//! A *leaf* stands for a list of items in order. One item stands for itself, and [`EMPTY`], an item
//! with the signature 0, which no packet has, for none. Every other leaf is a word whose `what` is
//! [`LIST`], whose bits 0-15 hold the number of items and whose bits from 18 on hold the offset,
//! in units of 8 bytes, of the items. The number [`TABLE`] says that the offset is that of a `u16`
//! for each L4 class, the index of the item that decides; item `i` lies `8 (i + 1)` bytes before
//! the table, and item 0 is [`NONE`](super::NONE).

/// The `what` of a leaf that is not an item.
pub const LIST: u32 = 3;
/// The number of items that says that a leaf is a table.
pub const TABLE: u32 = 0xffff;
/// The leaf without items.
pub const EMPTY: u64 = 0;

/// The most items in the list of a leaf.
pub const MAX_LIST: u32 = 64;

/// The leaf with `count` items at `offset`, a multiple of 8.
#[must_use]
pub const fn leaf(offset: u32, count: u32) -> u64 {
    (offset as u64 >> 3) << 18 | (LIST as u64) << 16 | count as u64
}
