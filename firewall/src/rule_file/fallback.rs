//! What is said when the last good rules are in force.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The rules in force are not those of the rule file, but the last good ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastGood {
    /// When the copy was made: RFC 3339, in UTC.
    pub(crate) kept_at: String,
    /// Why the rule file could not be used.
    pub(crate) error: String,
}

impl fmt::Display for LastGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept_at, error } = self;
        write!(
            f,
            "the last good rules, of {kept_at}, are in force instead of the rule file: {error}"
        )
    }
}
