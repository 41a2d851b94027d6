//! The counts of a subject.

use serde::{Deserialize, Serialize};

/// The number of packets by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Passed.
    pub passed: u64,
    /// Dropped.
    pub dropped: u64,
    /// Passed or dropped because no rule matched; included above.
    pub unmatched: u64,
}

impl Verdicts {
    /// The counts since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(earlier.passed),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            unmatched: self.unmatched.saturating_sub(earlier.unmatched),
        }
    }

    /// The number of packets with a verdict.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.passed + self.dropped
    }
}
