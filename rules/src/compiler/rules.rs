//! The actions and counter slots of the rules of a section.

use firewall_ebpf::image::{COUNT, DROP, Entry, Item, ORDER_LIMIT, PASS, RuleSlot, SLOT_LIMIT};

use super::error::CompileError;
use crate::model::{Rule, RuleAction, RuleId, Ruleset};

/// The rules of a section, indexed by their position in it.
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

    /// The action of the rule, as encoded in entries and items.
    pub(super) fn what(&self, rule: usize) -> u32 {
        match self.rule(rule).action {
            RuleAction::Pass => PASS,
            RuleAction::Drop => DROP,
            RuleAction::Count => COUNT,
        }
    }

    /// The entry.
    pub(super) fn entry(&self, rule: usize) -> Entry {
        let slot = RuleSlot::new(self.slot(rule), self.rule(rule).log.is_some());
        Entry::new(slot, self.what(rule))
    }

    /// Checks that every rule can be encoded as an item.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooManyRules`] if a position or a counter slot does not fit its field.
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

    /// Whether the rule only counts.
    pub(super) fn counts(&self, rule: usize) -> bool {
        self.rule(rule).action == RuleAction::Count
    }
}
