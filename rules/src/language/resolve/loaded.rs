//! Loaded rule files.

use crate::{diagnostics::Diagnostic, language::rule_test::RuleTest, model::Ruleset};

/// How many members a list file had for a set, and by how much that number may shrink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSize {
    /// The set.
    pub set: String,
    /// The file, as the rule file names it.
    pub file: String,
    /// The number of lines with addresses.
    pub members: usize,
    /// The largest part of them, in percent, that may be gone when the file is read again.
    pub shrink: u8,
}

/// A rule file without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The rule set.
    pub ruleset: Ruleset,
    /// The tests that it must pass.
    pub tests: Vec<RuleTest>,
    /// The sizes of the list files, by set.
    pub lists: Vec<ListSize>,
    /// The warnings, by place.
    pub warnings: Vec<Diagnostic>,
}
