//! Rules in order, and what they decide.

use super::{Family, Rule, Verdict};
use crate::tuple::Tuple;

/// A rule set: the first rule that matches decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// The rules, in order of precedence.
    pub rules: Vec<Rule>,
    /// What becomes of a packet that no rule matches.
    pub default: Verdict,
}

/// What a rule set makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The index of the rule that decided, from 0; `None` when no rule matched.
    pub rule: Option<usize>,
    /// What becomes of the packet.
    pub verdict: Verdict,
}

impl RuleSet {
    /// Decides by looking at one rule after the other.
    #[must_use]
    pub fn decide(&self, tuple: &Tuple) -> Decision {
        self.decision(self.rules.iter().position(|rule| rule.matches(tuple)))
    }

    /// The decision of the rule at an index, or of none.
    pub(super) fn decision(&self, rule: Option<usize>) -> Decision {
        let found = rule.and_then(|index| self.rules.get(index));
        Decision {
            rule,
            verdict: found.map_or(self.default, |rule| rule.verdict),
        }
    }

    /// The families that the rules are for.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| self.rules.iter().any(|rule| rule.src.family() == *family))
            .collect()
    }
}
