//! What becomes of packets by whether a list has their source.

use super::Verdict;

/// The verdicts for packets from listed sources and for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPolicy {
    /// What becomes of packets whose source is a member.
    pub listed: Verdict,
    /// What becomes of all others.
    pub others: Verdict,
}

impl ListPolicy {
    /// Sources that stand in the list are dropped.
    pub const BLOCKLIST: Self = Self {
        listed: Verdict::Drop,
        others: Verdict::Pass,
    };

    /// Only sources that stand in the list pass.
    pub const ALLOWLIST: Self = Self {
        listed: Verdict::Pass,
        others: Verdict::Drop,
    };

    /// No packet passes: what is counted tells the listed ones from the others.
    pub const DROP: Self = Self {
        listed: Verdict::Drop,
        others: Verdict::Drop,
    };
}
