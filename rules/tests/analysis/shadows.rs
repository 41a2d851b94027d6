//! Rules reported as unreached, compared with the evaluator on random packets.

use std::collections::BTreeMap;

use rules::{
    Context,
    analysis::{Budget, unreached},
    evaluator::{Outcome, classify, decode, matches},
    field::Family,
    model::{RuleAction, RuleId, Ruleset},
};
use rules_testing::{Random, Shape, ask_for_states, probe, ruleset};

/// How many random packets reach each rule.
fn reached(random: &mut Random, rules: &Ruleset, packets: usize) -> BTreeMap<RuleId, usize> {
    let mut reached = BTreeMap::new();
    for _ in 0..packets {
        let probe = probe(random, rules);
        let named = probe.named();
        let Ok(fields) = decode(&probe.frame) else {
            continue;
        };
        if named.interface.is_none() || named.in_interface == Some(None) {
            continue;
        }
        let judged = classify(rules, &fields, &named);
        let decider = match judged.outcome {
            Outcome::Rule(id) => Some(id),
            Outcome::Reason(_) => None,
        };
        for id in judged.counted.into_iter().chain(decider) {
            *reached.entry(id).or_default() += 1;
        }
    }
    reached
}

#[test]
fn no_packet_reaches_what_is_said_not_to_be_reached() {
    let mut found = 0;
    for shape in Shape::ALL {
        let mut seeds = Random::new(0x5ad ^ shape as u64);
        let turns = if shape == Shape::Thousands { 1 } else { 12 };
        for _ in 0..turns {
            let random = &mut Random::new(seeds.bits());
            let mut rules = ruleset(random, shape);
            if random.percent(40) {
                ask_for_states(random, &mut rules);
            }
            let reach = unreached(&rules, &mut Budget::default());
            assert!(reach.undecided.is_empty(), "{shape:?}");
            found += reach.unreached.len();
            let reached = reached(random, &rules, 1500);
            for unreached in reach.unreached {
                assert_eq!(
                    reached.get(&unreached.rule),
                    None,
                    "{shape:?}: {unreached:?}"
                );
                assert!(
                    unreached.by.iter().all(|by| *by < unreached.rule),
                    "{unreached:?}"
                );
            }
        }
    }
    assert!(found > 100, "{found}");
}

/// An unreached rule is reached once the rules reported as its cause are removed, and only if all
/// of them are.
#[test]
fn the_rules_that_are_named_are_needed() {
    let mut explained = 0;
    for shape in [
        Shape::Few,
        Shape::Wildcards,
        Shape::Upper,
        Shape::Interfaces,
        Shape::Nested,
    ] {
        let mut seeds = Random::new(0xab ^ shape as u64);
        for _ in 0..40 {
            let mut rules = ruleset(&mut Random::new(seeds.bits()), shape);
            if seeds.percent(30) {
                ask_for_states(&mut seeds, &mut rules);
            }
            // The rules are reported for each family separately.
            for rule in &mut rules.rules {
                rule.matches.family = Some(Family::Ipv6);
            }
            for found in unreached(&rules, &mut Budget::default()).unreached {
                let named_only = kept(&rules, |id| id == found.rule || found.by.contains(&id));
                let last = RuleId(u32::try_from(named_only.rules.len() - 1).unwrap());
                let still = unreached(&named_only, &mut Budget::default());
                assert!(
                    still.unreached.iter().any(|of| of.rule == last),
                    "{found:?}"
                );
                let Some(without) = found.by.first() else {
                    continue;
                };
                let rest = kept(&named_only, |id| {
                    named_only.rules[id.0 as usize].name != rules.rules[without.0 as usize].name
                });
                let last = RuleId(last.0 - 1);
                let now = unreached(&rest, &mut Budget::default());
                assert!(now.unreached.iter().all(|of| of.rule != last), "{found:?}");
                explained += 1;
            }
        }
    }
    assert!(explained > 100, "{explained}");
}

fn kept(rules: &Ruleset, keep: impl Fn(RuleId) -> bool) -> Ruleset {
    Ruleset {
        rules: rules
            .iter()
            .filter(|(id, _)| keep(*id))
            .map(|(_, rule)| rule.clone())
            .collect(),
        ..rules.clone()
    }
}

/// A rule that is not reported as unreached is reached, given enough random packets.
#[test]
fn what_is_not_said_not_to_be_reached_is_reached() {
    let (mut reachable, mut seen) = (0, 0);
    let mut seeds = Random::new(5);
    for _ in 0..30 {
        let random = &mut Random::new(seeds.bits());
        let rules = ruleset(random, Shape::Few);
        let unreached = unreached(&rules, &mut Budget::default()).unreached;
        let reached = reached(random, &rules, 3000);
        reachable += rules.rules.len() - unreached.len();
        seen += reached.len();
    }
    assert!(seen * 10 >= reachable * 8, "{seen} of {reachable}");
}

#[test]
fn rules_that_only_count_take_nothing() {
    let mut random = Random::new(11);
    let mut rules = ruleset(&mut random, Shape::Wildcards);
    for rule in &mut rules.rules {
        rule.action = RuleAction::Count;
    }
    let reach = unreached(&rules, &mut Budget::default());
    assert!(reach.unreached.iter().all(|of| of.by.is_empty()));
    let fields = rules::evaluator::Fields::default();
    assert!(rules.rules.iter().any(|rule| matches(
        &rule.matches,
        &fields,
        &Context::arriving(None)
    )));
}

#[test]
fn without_a_budget_nothing_is_said_to_be_unreached() {
    let rules = ruleset(&mut Random::new(2), Shape::Hundreds);
    let reach = unreached(&rules, &mut Budget::new(0));
    assert!(reach.unreached.is_empty());
    assert_eq!(reach.undecided.len(), rules.rules.len());
}
