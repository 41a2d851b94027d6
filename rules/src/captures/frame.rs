//! A captured frame.

use std::sync::Arc;

/// A captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number in the file, counted from 1.
    pub number: usize,
    /// The bytes that were captured, from the Ethernet header on. Those of a link of another type
    /// have an Ethernet header in the place of theirs.
    pub bytes: Vec<u8>,
    /// The length of the frame on the wire, in bytes.
    pub length: usize,
    /// The name of the interface on which it was captured, if the file has that.
    pub interface: Option<Arc<str>>,
}

impl Frame {
    /// Whether the whole frame was captured.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bytes.len() >= self.length
    }
}
