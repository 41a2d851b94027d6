//! The direct table: one cell for each combination of classes.
//!
//! A cell (`u32`) has the offset of a list of [entries](super::entry), which ends with the first
//! one that does not count, or, when that is just one entry, the entry and [`DIRECT`].

/// The bit of a cell that has an entry, and not the offset of a list.
pub const DIRECT: u32 = 1 << 31;

/// The most `count` entries in one list of a cell.
pub const MAX_COUNTS: u32 = 64;
