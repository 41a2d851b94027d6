//! Places in rule files.

use std::num::NonZeroU32;

/// A place in the rule file, both numbers counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: NonZeroU32,
    /// The column.
    pub column: NonZeroU32,
}
