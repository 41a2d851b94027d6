//! The direct table: one cell for each combination of classes.

use super::entry::Entry;

/// A cell of the direct table.
///
/// | bits | |
/// | --- | --- |
/// | 0-30 | the offset of a list of entries that ends with the first one that does not count, or the only [`Entry`] of such a list |
/// | 31 | set with an entry |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell(u32);

impl Cell {
    const DIRECT: u32 = 1 << 31;

    /// The cell with the entry of the rule that decides.
    #[must_use]
    pub const fn entry(entry: Entry) -> Self {
        Self(Self::DIRECT | entry.bits())
    }

    /// The cell with the offset of a list.
    #[must_use]
    pub const fn list(offset: u32) -> Self {
        Self(offset)
    }

    /// The cell in a word.
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

    /// The entry, unless there is a list.
    #[must_use]
    #[inline(always)]
    pub const fn as_entry(self) -> Option<Entry> {
        if self.0 & Self::DIRECT == 0 {
            None
        } else {
            Some(Entry::from_bits(self.0 & !Self::DIRECT))
        }
    }

    /// The offset of the list, unless there is an entry.
    #[must_use]
    #[inline(always)]
    pub const fn offset(self) -> u32 {
        self.0
    }
}

/// The maximum number of `count` entries in the list of a cell.
pub const MAX_COUNTS: u32 = 64;
