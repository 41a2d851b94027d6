//! The origin of rules and packets.

use serde::{Deserialize, Serialize};

/// The origin of rules or packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Files that others have published.
    Published,
    /// This program, from a seed.
    Generated,
    /// Files that the caller named.
    Given,
}

impl Origin {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Generated => "generated",
            Self::Given => "given",
        }
    }
}
