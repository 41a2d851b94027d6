//! Loaded rule files.

use crate::{diagnostics::Diagnostic, language::rule_test::RuleTest, model::Ruleset};

/// A rule file without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The rule set.
    pub ruleset: Ruleset,
    /// The tests that it must pass.
    pub tests: Vec<RuleTest>,
    /// The warnings, by place.
    pub warnings: Vec<Diagnostic>,
}
