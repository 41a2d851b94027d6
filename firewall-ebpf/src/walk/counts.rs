//! The counters, as the walker sees them.

/// Where the walker counts matches of `count` rules.
pub trait Counts {
    /// Counts the packet in `slot`, which has [`LOGS`](crate::image::LOGS) beside it when the rule
    /// logs.
    fn count(&mut self, slot: u32);
}
