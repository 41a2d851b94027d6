//! The grid: one cell for each combination of address classes.
//!
//! A cell (`u32`) has the offset of a leaf: a `u16` for each [`CHUNK`] L4 classes, the number of a
//! chunk. A chunk has a byte for each of these classes, the index of the rule that decides; the
//! number of rule `i` is a `u16` that lies `2 (i + 1)` bytes before the leaf, and its item is found
//! by that number. Rule 0 is item 0, which is [`NONE`](super::NONE). Equal chunks are stored once.

/// The L4 classes of a chunk of a grid.
pub const CHUNK: u32 = 64;
