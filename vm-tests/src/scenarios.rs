//! The scenarios: what is tried on every kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// The program is verified, translated and attached in the driver; what the verifier says of it
    /// is measured.
    Load,
    /// Every match field decides packets, and the counters and arrivals are exact.
    Verdicts,
    /// The rules change under traffic, and no packet gets by.
    Reload,
    /// The daemon is killed; filtering goes on until another takes over, or until `unload`.
    Killed,
    /// A blocklist of a million addresses.
    Large,
    /// What cannot be done is refused, and what was in force stays.
    Refusals,
    /// The tests of the `firewall` command that need a kernel.
    Tests,
}

impl Scenario {
    /// Every scenario, in the order in which they run.
    pub const ALL: [Self; 7] = [
        Self::Load,
        Self::Verdicts,
        Self::Reload,
        Self::Killed,
        Self::Large,
        Self::Refusals,
        Self::Tests,
    ];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Verdicts => "verdicts",
            Self::Reload => "reload",
            Self::Killed => "killed",
            Self::Large => "large",
            Self::Refusals => "refusals",
            Self::Tests => "tests",
        }
    }

    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
