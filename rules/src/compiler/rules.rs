//! What the rules of a section do on a match.

use firewall_ebpf::image::{COUNT, DROP, PASS};

use crate::ruleset::{Rule, RuleId, Ruleset, Verdict};

/// The rules of a section, by their place in it.
pub(super) struct Rules<'a> {
    ruleset: &'a Ruleset,
    slots: &'a [u32],
    ids: Vec<RuleId>,
}

impl<'a> Rules<'a> {
    /// The rules `ids` of `ruleset`, whose rules have the counter slots `slots`.
    pub(super) fn new(ruleset: &'a Ruleset, slots: &'a [u32], ids: Vec<RuleId>) -> Self {
        Self {
            ruleset,
            slots,
            ids,
        }
    }

    /// The number of rules in the section.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The rules by their places in the rule set.
    pub(super) fn ids(&self) -> &[RuleId] {
        &self.ids
    }

    fn rule(&self, rule: usize) -> &'a Rule {
        &self.ruleset.rules[self.ids[rule].0 as usize]
    }

    /// The name of the rule.
    pub(super) fn name(&self, rule: usize) -> &'a str {
        &self.rule(rule).name
    }

    /// The counter slot.
    pub(super) fn slot(&self, rule: usize) -> u32 {
        self.slots[self.ids[rule].0 as usize]
    }

    /// What a match does, as entries and items say it.
    pub(super) fn what(&self, rule: usize) -> u32 {
        match self.rule(rule).verdict {
            Verdict::Pass => PASS,
            Verdict::Drop => DROP,
            Verdict::Count => COUNT,
        }
    }

    /// The entry.
    pub(super) fn entry(&self, rule: usize) -> u32 {
        self.slot(rule) << 2 | self.what(rule)
    }

    /// Whether the rule counts and does not decide.
    pub(super) fn counts(&self, rule: usize) -> bool {
        self.rule(rule).verdict == Verdict::Count
    }
}
