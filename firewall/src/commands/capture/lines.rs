//! The lines that the daemon sends, and how many of them were written.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    control::protocol::CaptureLine,
    text::format::{counted, grouped},
};

/// A line from the daemon.
pub(super) struct Received {
    /// As it came, with its line feed.
    pub(super) text: String,
    /// What it says.
    pub(super) line: CaptureLine,
}

/// How many packets were written, and how many were missed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) packets: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packets = self.packets.load(Ordering::Relaxed);
        let packets = counted(packets, "packet");
        let lost = grouped(self.lost.load(Ordering::Relaxed));
        write!(f, "{packets} captured, {lost} lost")
    }
}
