//! Leaves: lists of items.

use super::item::Item;

/// The maximum number of items in the list of a leaf.
pub const MAX_LIST: u32 = 64;

/// A list of items in order. An item is a list of its own; every other list is a word
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | the number of items, at most [`MAX_LIST`], or 65,535 for a table |
/// | 16-17 | 3, which no item has there |
/// | 18-63 | the offset in units of 8 bytes |
///
/// A list has its items at the offset. A table has there a `u16` for each L4 class, the index of the
/// item that decides; item `i` lies `8 (i + 1)` bytes before the table, and item 0 is
/// [`Item::NONE`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leaf(u64);

impl Leaf {
    /// The empty list: an item with the signature 0, which no packet has.
    pub const EMPTY: Self = Self(0);

    /// The first number of items that no leaf can have.
    pub const TABLE: u32 = 0xffff;

    const LIST: u32 = 3;

    /// The list of one item.
    #[must_use]
    pub const fn one(item: Item) -> Self {
        Self(item.bits())
    }

    /// The list of `count` items at `offset`, a multiple of 8.
    #[must_use]
    pub const fn list(offset: u32, count: u32) -> Self {
        Self((offset as u64 >> 3) << 18 | (Self::LIST as u64) << 16 | count as u64)
    }

    /// The table at `offset`, a multiple of 8.
    #[must_use]
    pub const fn table(offset: u32) -> Self {
        Self::list(offset, Self::TABLE)
    }

    /// The leaf in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The only item of the list, or that of the empty one; `None` when there are more.
    #[must_use]
    #[inline(always)]
    pub const fn as_item(self) -> Option<Item> {
        if (self.0 >> 16) as u32 & 3 == Self::LIST {
            None
        } else {
            Some(Item::from_bits(self.0))
        }
    }

    /// The number of items of a list, or [`Self::TABLE`].
    #[must_use]
    #[inline(always)]
    pub const fn count(self) -> u32 {
        self.0 as u32 & 0xffff
    }

    /// The offset of a list or a table.
    #[must_use]
    #[inline(always)]
    pub const fn offset(self) -> u32 {
        (self.0 >> 18 << 3) as u32
    }
}

/// The offset of the index for an L4 class in the table at `table`.
#[must_use]
#[inline(always)]
pub const fn table_index_at(table: u32, l4: u32) -> u32 {
    table.wrapping_add(l4.wrapping_mul(2))
}

/// The offset of item `index` of the table at `table`.
#[must_use]
#[inline(always)]
pub const fn table_item_at(table: u32, index: u32) -> u32 {
    table.wrapping_sub((index + 1) * 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{COUNT, Entry, ORDER_LIMIT, RuleSlot, SLOT_LIMIT};

    #[test]
    fn a_leaf_is_an_item_or_a_list() {
        let entry = Entry::new(RuleSlot::new(SLOT_LIMIT - 1, true), COUNT);
        let item = Item::new(ORDER_LIMIT - 1, entry, 65_535);
        assert_eq!(Leaf::one(item).as_item(), Some(item));
        assert_eq!(Leaf::EMPTY.as_item(), Some(Item::from_bits(0)));
        for offset in [0, 8, (1 << 28) - 8] {
            for count in [1, MAX_LIST] {
                let leaf = Leaf::list(offset, count);
                assert_eq!(leaf.as_item(), None);
                assert_eq!((leaf.offset(), leaf.count()), (offset, count));
            }
            let leaf = Leaf::table(offset);
            assert_eq!(leaf.as_item(), None);
            assert_eq!((leaf.offset(), leaf.count()), (offset, Leaf::TABLE));
        }
    }
}
