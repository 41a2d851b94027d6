//! Loaded rule files.

use crate::{
    diagnostics::{Code, Diagnostic},
    language::{listing::Listing, rule_test::RuleTest},
    model::Ruleset,
};

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
    /// What its rules say, for people.
    pub listing: Listing,
    /// The warnings, by place, except for those that are allowed.
    pub warnings: Vec<Diagnostic>,
    /// The warnings that the file allows, which are not given.
    pub allowed: Vec<Code>,
}

impl Loaded {
    /// Adds warnings, but for those that are allowed.
    pub(crate) fn warn(&mut self, warnings: Vec<Diagnostic>) {
        let given = warnings.into_iter();
        self.warnings
            .extend(given.filter(|warning| !self.allowed.contains(&warning.code)));
    }
}
