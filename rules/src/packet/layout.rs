//! The layout of a frame.

/// A frame and the offsets of its headers.
pub(super) struct Layout {
    pub(super) bytes: Vec<u8>,
    pub(super) network: usize,
    pub(super) upper: usize,
}

/// Lays a pnet header over the start of `bytes`.
#[expect(
    clippy::expect_used,
    reason = "pnet refuses only a buffer shorter than the header; every caller makes its own"
)]
pub(super) fn view<'a, P>(bytes: &'a mut [u8], new: fn(&'a mut [u8]) -> Option<P>) -> P {
    new(bytes).expect("the buffer is at least as long as the header")
}
