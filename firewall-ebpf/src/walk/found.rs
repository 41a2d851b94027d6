//! What is known of a packet before rules that count.

/// What a grid or pairs say, before rules that count.
pub(super) struct Found {
    /// The item that decides, or [`NONE`](crate::image::NONE).
    pub(super) item: u64,
    /// The row class of the source.
    pub(super) src_row: u32,
    /// The row class of the destination.
    pub(super) dst_row: u32,
}
