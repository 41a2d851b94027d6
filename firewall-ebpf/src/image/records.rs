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
    /// [`BY_WIDE`] and [`PAIRED`].
    pub flags: u32,
}

/// [`Record::flags`]: there is a leaf for each wide class of the other address, not just one.
pub const BY_WIDE: u32 = 1;
/// [`Record::flags`]: some [`Pair`](super::Pair) has the class.
pub const PAIRED: u32 = 2;

const _: () = assert!(size_of::<Record>() == 16);
// What the walker loads two words at a time.
const _: () = assert!(
    offset_of!(Record, wide).is_multiple_of(8) && offset_of!(Record, leaves).is_multiple_of(8)
);
