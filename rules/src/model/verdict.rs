//! Verdicts, and the actions of rules that yield them.

/// The verdict on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet is passed to the kernel.
    Pass,
    /// The packet is dropped.
    Drop,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 2] = [Self::Pass, Self::Drop];

    /// The verdict as written in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

/// What a rule does with a packet that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Pass the packet to the kernel.
    Pass,
    /// Drop the packet.
    Drop,
    /// Count the packet and continue with the next rule.
    Count,
}

impl RuleAction {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Drop, Self::Count];

    /// The action as written in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Count => "count",
        }
    }

    /// The verdict that the action yields; `None` if the next rule decides.
    #[must_use]
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Pass => Some(Verdict::Pass),
            Self::Drop => Some(Verdict::Drop),
            Self::Count => None,
        }
    }
}
