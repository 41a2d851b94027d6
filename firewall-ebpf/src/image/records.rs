//! Records: what an address class alone leads to.

use core::mem::offset_of;

/// The records of one address's classes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The offset of the [`Record`] of class 0.
    pub offset: u32,
    /// The number of the last record, which all classes from this number on share.
    pub last: u32,
}

/// What an address class contributes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// The wide class that the class is part of.
    pub wide: u32,
    /// The row class that the class is part of.
    pub row: u32,
    /// The offset of the leaves.
    pub leaves: u32,
    /// What the leaves are for.
    pub flags: RecordFlags,
}

impl Record {
    /// The record as it is in the image.
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        [self.wide, self.row, self.leaves, self.flags.bits()]
    }
}

/// What the leaves of a [`Record`] are for.
///
/// | bits | |
/// | --- | --- |
/// | 0 | there is a leaf for each wide class of the other address, not just one |
/// | 1 | some [`Pair`](super::Pair) has the class |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordFlags(u32);

impl RecordFlags {
    const BY_WIDE: u32 = 1;
    const PAIRED: u32 = 2;

    /// The flags of a record.
    #[must_use]
    pub const fn new(by_wide: bool, paired: bool) -> Self {
        let by_wide = if by_wide { Self::BY_WIDE } else { 0 };
        let paired = if paired { Self::PAIRED } else { 0 };
        Self(by_wide | paired)
    }

    /// The flags in a word.
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

    /// The index of the leaf for a wide class of the other address, without a branch.
    #[must_use]
    #[inline(always)]
    pub const fn leaf_index(self, wide: u32) -> u32 {
        wide & 0_u32.wrapping_sub(self.0 & Self::BY_WIDE)
    }

    /// Whether some pair has both the class of this record and that of the other.
    #[must_use]
    #[inline(always)]
    pub const fn may_be_paired(self, other: Self) -> bool {
        self.0 & other.0 & Self::PAIRED != 0
    }
}

const _: () = assert!(size_of::<Record>() == 16);
// What the walker loads two words at a time.
const _: () = assert!(
    offset_of!(Record, wide).is_multiple_of(8) && offset_of!(Record, leaves).is_multiple_of(8)
);
