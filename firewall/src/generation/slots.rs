//! Counter slots: which entry of the counters map belongs to which rule.
//!
//! A rule keeps its slot for as long as rules of its name follow each other. A new rule takes a
//! slot that no rule in force has, not even one that the same reload removes: until the switch
//! the old image still counts there.

use std::collections::{BTreeMap, BTreeSet};

use firewall_ebpf::abi::FIRST_RULE_SLOT;

use crate::kernel::slot::{Capacity, Slot};

/// The slots of a rule set's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The slot of each rule, in rule order, and after them those of disabled rules.
    pub(crate) slots: Vec<Slot>,
    /// The slots of no rule in force, which must be set to 0 before use.
    pub(crate) fresh: Vec<Slot>,
    /// The slots of these rules, and of those that may come back, that keep their counts.
    pub(crate) kept: BTreeSet<Slot>,
    /// The smallest capacity, a power of two, that holds all these slots.
    pub(crate) capacity: Capacity,
}

/// There are more rules than a counters map has slots.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{rules} rules are more than there are counters")]
pub(crate) struct TooManyRules {
    rules: usize,
}

/// Assigns a slot to each of `names`, which are those of the rules in order and of the disabled ones; `in_force` are the rules that
/// the present image counts for, and `held` the slots of rules that may come back.
///
/// # Errors
///
/// [`TooManyRules`] when the slots run out.
pub(crate) fn assign(
    names: &[&str],
    in_force: &BTreeMap<String, Slot>,
    held: &BTreeSet<Slot>,
) -> Result<Assignment, TooManyRules> {
    let too_many = TooManyRules { rules: names.len() };
    let taken: BTreeSet<Slot> = in_force.values().chain(held).copied().collect();
    let mut free = (FIRST_RULE_SLOT..Capacity::MAX)
        .map(Slot::new)
        .filter(|slot| !taken.contains(slot));
    let mut slots = Vec::with_capacity(names.len());
    let mut fresh = Vec::new();
    for &name in names {
        let slot = match in_force.get(name) {
            Some(&slot) => slot,
            None => {
                let Some(slot) = free.next() else {
                    return Err(too_many);
                };
                fresh.push(slot);
                slot
            }
        };
        slots.push(slot);
    }
    let capacity = Capacity::holding(slots.iter().chain(&taken)).ok_or(too_many)?;
    Ok(Assignment {
        slots,
        fresh,
        kept: taken,
        capacity,
    })
}

impl Assignment {
    /// The slots of rules that come back to those that they had, while others keep those in
    /// `held`. `None` when these are no slots.
    pub(crate) fn back(slots: Vec<Slot>, held: impl IntoIterator<Item = Slot>) -> Option<Self> {
        let kept: BTreeSet<Slot> = slots.iter().copied().chain(held).collect();
        Some(Self {
            capacity: Capacity::holding(&kept)?,
            slots,
            fresh: Vec::new(),
            kept,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force(rules: &[(&str, u32)]) -> BTreeMap<String, Slot> {
        rules
            .iter()
            .map(|&(name, slot)| (name.to_owned(), Slot::new(slot)))
            .collect()
    }

    fn assigned(names: &[&str], before: &[(&str, u32)]) -> Assignment {
        assign(names, &in_force(before), &BTreeSet::new()).unwrap()
    }

    #[test]
    fn the_first_rules_follow_the_reasons() {
        let assignment = assigned(&["a", "b"], &[]);
        assert_eq!(assignment.slots, [Slot::new(64), Slot::new(65)]);
        assert_eq!(assignment.fresh, assignment.slots);
        assert_eq!(assignment.capacity, Capacity::of_slots(128));
    }

    #[test]
    fn a_rule_that_keeps_its_name_keeps_its_slot() {
        let assignment = assigned(&["new", "b", "a"], &[("a", 64), ("b", 65)]);
        assert_eq!(
            assignment.slots,
            [Slot::new(66), Slot::new(65), Slot::new(64)]
        );
        assert_eq!(assignment.fresh, [Slot::new(66)]);
    }

    #[test]
    fn the_slot_of_a_rule_being_removed_is_not_reused_at_once() {
        let assignment = assigned(&["new"], &[("old", 64)]);
        assert_eq!(assignment.slots, [Slot::new(65)]);
        let assignment = assigned(&["new", "newer"], &[("new", 65)]);
        assert_eq!(assignment.slots, [Slot::new(65), Slot::new(64)]);
    }

    #[test]
    fn the_slots_of_rules_that_may_come_back_are_left_to_them() {
        let held = BTreeSet::from([Slot::new(65), Slot::new(130)]);
        let before = in_force(&[("old", 64)]);
        let assignment = assign(&["new", "old"], &before, &held).unwrap();
        assert_eq!(assignment.slots, [Slot::new(66), Slot::new(64)]);
        assert_eq!(assignment.fresh, [Slot::new(66)]);
        assert_eq!(assignment.capacity, Capacity::of_slots(256));
        assert!(held.is_subset(&assignment.kept));
        let back = Assignment::back(
            vec![Slot::new(65), Slot::new(130)],
            [Slot::new(64), Slot::new(66)],
        )
        .unwrap();
        assert_eq!(back.fresh, []);
        assert_eq!(back.kept.len(), 4);
        assert_eq!(back.capacity, Capacity::of_slots(256));
    }

    #[test]
    fn the_capacity_is_the_next_power_of_two() {
        let names: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let assignment = assign(&names, &in_force(&[]), &BTreeSet::new()).unwrap();
        assert_eq!(assignment.capacity, Capacity::of_slots(256));
    }
}
