//! What the rules of a section do on a match.

use firewall_ebpf::image::{COUNT, DROP, Entry, Item, ORDER_LIMIT, PASS, RuleSlot, SLOT_LIMIT};

use super::error::CompileError;
use crate::model::{Rule, RuleId, Ruleset, Verdict};

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
    fn slot(&self, rule: usize) -> u32 {
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
    pub(super) fn entry(&self, rule: usize) -> Entry {
        let slot = RuleSlot::new(self.slot(rule), self.rule(rule).log.is_some());
        Entry::new(slot, self.what(rule))
    }

    /// Whether every rule has an item.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooManyRules`] when a place or a counter slot is beyond its field.
    pub(super) fn check_items(&self) -> Result<(), CompileError> {
        let too_far = |rule| self.slot(rule) >= SLOT_LIMIT;
        if self.len() > ORDER_LIMIT as usize || (0..self.len()).any(too_far) {
            return Err(CompileError::TooManyRules {
                rules: self.len(),
                allowed: ORDER_LIMIT.min(SLOT_LIMIT) as usize,
            });
        }
        Ok(())
    }

    /// The item, in a section whose rules have passed [`Self::check_items`].
    pub(super) fn item(&self, rule: usize, signature: u32) -> Item {
        Item::new(rule as u32, self.entry(rule), signature)
    }

    /// Whether the rule counts and does not decide.
    pub(super) fn counts(&self, rule: usize) -> bool {
        self.rule(rule).verdict == Verdict::Count
    }
}
