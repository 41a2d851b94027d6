//! The counters, as the walker sees them.

use crate::image::RuleSlot;

/// Where the walker counts matches of `count` rules.
pub trait Counts {
    /// Counts the packet in the slot of a rule.
    fn count(&mut self, slot: RuleSlot);
}
