//! What is known of a packet before rules that count.

use crate::image::Item;

/// What a grid or pairs say, before rules that count.
pub(super) struct Found {
    /// The item that decides, or none.
    pub(super) item: Item,
    /// The row class of the source.
    pub(super) src_row: u32,
    /// The row class of the destination.
    pub(super) dst_row: u32,
}
