//! Ordered rules, and their decisions.

use super::{AddressList, Family, ListPolicy, Rule, Verdict};
use crate::tuple::Tuple;

/// A rule set: the first rule that matches decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// The rules, in order of precedence.
    pub rules: Vec<Rule>,
    /// The verdict on a packet that no rule matches.
    pub default: Verdict,
}

/// The decision of a rule set on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The index of the rule that decided, from 0; `None` when no rule matched.
    pub rule: Option<usize>,
    /// The verdict on the packet.
    pub verdict: Verdict,
}

impl RuleSet {
    /// A rule for each member of a list; a range that is not a prefix becomes one rule per prefix.
    #[must_use]
    pub fn of_list(list: &AddressList, policy: ListPolicy) -> Self {
        let prefixes = list.members.iter().flat_map(|member| member.prefixes());
        Self {
            rules: prefixes
                .map(|prefix| Rule::of_source(prefix, policy.listed))
                .collect(),
            default: policy.others,
        }
    }

    /// Gives each rule the verdict of its index, see [`Verdict::of_index`].
    pub(super) fn spread_verdicts(&mut self) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            rule.verdict = Verdict::of_index(index);
        }
    }

    /// The same rules with every verdict changed to drop.
    #[must_use]
    pub fn dropping_all(mut self) -> Self {
        for rule in &mut self.rules {
            rule.verdict = Verdict::Drop;
        }
        self.default = Verdict::Drop;
        self
    }

    /// Decides by testing one rule after the other.
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
