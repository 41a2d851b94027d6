//! What a subject has counted.

use serde::{Deserialize, Serialize};

/// How many packets got which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Passed.
    pub passed: u64,
    /// Dropped.
    pub dropped: u64,
    /// Passed or dropped because no rule matched; counted above, too.
    pub unmatched: u64,
}

impl Verdicts {
    /// What was counted since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(earlier.passed),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            unmatched: self.unmatched.saturating_sub(earlier.unmatched),
        }
    }

    /// How many packets were judged.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.passed + self.dropped
    }
}
