//! Verdicts on packets by whether a list contains their source.

use super::Verdict;

/// The verdicts for packets from listed sources and for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPolicy {
    /// The verdict on packets whose source is a member.
    pub listed: Verdict,
    /// The verdict on all others.
    pub others: Verdict,
}

impl ListPolicy {
    /// Packets from listed sources are dropped.
    pub const BLOCKLIST: Self = Self {
        listed: Verdict::Drop,
        others: Verdict::Pass,
    };

    /// Only packets from listed sources pass.
    pub const ALLOWLIST: Self = Self {
        listed: Verdict::Pass,
        others: Verdict::Drop,
    };

    /// No packet passes: only the counters distinguish listed sources from others.
    pub const DROP: Self = Self {
        listed: Verdict::Drop,
        others: Verdict::Drop,
    };
}
