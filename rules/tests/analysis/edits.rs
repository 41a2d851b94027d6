//! Small changes to rule sets.

use std::sync::Arc;

use rules::{
    field::{AddressSet, Family, RangeSet},
    model::{RuleAction, Ruleset, Verdict},
};
use rules_testing::{Random, Shape, ruleset};

/// The rule set with one to three typical changes, or more in large rule sets.
pub(crate) fn edited(random: &mut Random, before: &Ruleset, shape: Shape) -> Ruleset {
    let mut after = before.clone();
    for _ in 0..random.within(1, 3) + before.rules.len() / 50 {
        edit(random, &mut after, shape);
    }
    after
}

fn edit(random: &mut Random, set: &mut Ruleset, shape: Shape) {
    let at = random.below(set.rules.len());
    let other = random.below(set.rules.len());
    match random.below(9) {
        0 => {
            let settings = &mut set.settings;
            let policy = match random.percent(50) {
                true => &mut settings.policy,
                false => &mut settings.policy_out,
            };
            *policy = match *policy {
                Verdict::Pass => Verdict::Drop,
                Verdict::Drop => Verdict::Pass,
            };
        }
        1 => {
            let donors = ruleset(random, shape).rules;
            if let Some(donor) = random.element(&donors) {
                let mut donor = donor.clone();
                donor.name = format!("new {}", random.bits());
                set.rules.insert(at, donor);
            }
        }
        _ if set.rules.is_empty() => {}
        2 => {
            set.rules.remove(at);
        }
        3 => set.rules.swap(at, other),
        4 => {
            let rule = set.rules.remove(at);
            set.rules.insert(other.min(set.rules.len()), rule);
        }
        5 => {
            set.rules[at].action = match set.rules[at].action {
                RuleAction::Pass => RuleAction::Drop,
                RuleAction::Drop => RuleAction::Pass,
                RuleAction::Count => random.pick([RuleAction::Pass, RuleAction::Drop]),
            };
        }
        6 => set.rules[at].name = format!("renamed {}", random.bits()),
        7 => {
            let matches = &mut set.rules[at].matches;
            let side = random.pick([true, false]);
            let side = if side {
                &mut matches.src
            } else {
                &mut matches.dst
            };
            if let Some(set) = side {
                *side = Some(Arc::new(moved(random, set)));
            }
        }
        _ => {
            let matches = &mut set.rules[at].matches;
            match random.below(6) {
                0 => matches.fragment = Some(random.percent(50)),
                1 => matches.ttl = Some(RangeSet::from_ranges(vec![(random.byte(), 255)])),
                2 => matches.length = Some(RangeSet::from_ranges(vec![(0, random.half() & 127)])),
                3 => matches.family = Some(random.pick([Family::Ipv4, Family::Ipv6])),
                4 => matches.dport = None,
                _ => matches.proto = None,
            }
        }
    }
}

/// The set with one address of each family added or removed.
fn moved(random: &mut Random, set: &AddressSet) -> AddressSet {
    let v4 = random
        .element(set.v4.ranges())
        .map_or(random.bits() as u32, |range| range.0);
    let v6 = random
        .element(set.v6.ranges())
        .map_or(random.wide_bits(), |range| range.1);
    AddressSet {
        v4: set
            .v4
            .symmetric_difference(&RangeSet::from_ranges(vec![(v4, v4)])),
        v6: set
            .v6
            .symmetric_difference(&RangeSet::from_ranges(vec![(v6, v6)])),
    }
}
