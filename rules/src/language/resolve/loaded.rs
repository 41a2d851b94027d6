//! What a rule file becomes.

use crate::{diagnostics::Diagnostic, language::rule_test::RuleTest, model::Ruleset};

/// A rule file that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the file says.
    pub ruleset: Ruleset,
    /// What the file demands of it.
    pub tests: Vec<RuleTest>,
    /// What may not be as it was meant, by place.
    pub warnings: Vec<Diagnostic>,
}
