//! Differences of random rule sets against the verdicts of the evaluator on random packets.

use std::collections::{BTreeSet, HashSet};

use rules::{
    analysis::{Budget, Compare, Decider, Diff, diff},
    evaluator::{Evaluation, Outcome, classify, decode, evaluate},
    model::{RuleAction, Ruleset},
};
use rules_testing::{Random, Shape, ask_for_states, probe, ruleset};

use crate::{edits::edited, frames::frame};

macro_rules! shapes {
    ($($name:ident: $shape:ident, $pairs:literal x $packets:literal;)*) => {
        $(#[test]
        fn $name() {
            run(Shape::$shape, $pairs, $packets);
        })*

        #[test]
        fn every_shape_is_compared() {
            let tried = [$(Shape::$shape),*];
            assert!(Shape::ALL.iter().all(|shape| tried.contains(shape)));
        }
    };
}

shapes! {
    few_rules: Few, 400 x 100;
    hundreds_of_rules: Hundreds, 10 x 400;
    thousands_of_rules: Thousands, 6 x 600;
    nested_prefixes: Nested, 60 x 200;
    single_addresses: Singles, 40 x 200;
    negatives: Negatives, 60 x 200;
    interfaces: Interfaces, 60 x 200;
    many_count_rules: Counts, 20 x 200;
    wildcards: Wildcards, 200 x 100;
    ports_flags_and_messages: Upper, 60 x 200;
    details: Details, 60 x 200;
    long_address_lists: Blocklist, 6 x 300;
    long_lists_in_few_networks: Dense, 12 x 300;
    prefixes_in_many_networks: Scattered, 4 x 300;
}

/// Statistics of the comparisons, so that a test in which nothing differs fails.
#[derive(Debug, Default)]
struct Tally {
    differing_packets: usize,
    same_packets: usize,
    changes: usize,
    counts: usize,
}

fn run(shape: Shape, pairs: usize, packets: usize) {
    let mut tally = Tally::default();
    let mut seeds = Random::new(0xd1f ^ shape as u64);
    for pair in 0..pairs {
        let seed = seeds.bits();
        let random = &mut Random::new(seed);
        let mut old = ruleset(random, shape);
        if seed.is_multiple_of(3) {
            ask_for_states(random, &mut old);
        }
        // The rule sets of every fourth pair are unrelated.
        let new = match pair % 4 {
            0 if old.rules.len() < 400 => ruleset(random, shape),
            _ => edited(random, &old, shape),
        };
        compare(random, &old, &new, packets, &mut tally);
    }
    assert!(
        tally.differing_packets > 0 && tally.same_packets > 0,
        "{tally:?}"
    );
    assert!(tally.changes > 0 && tally.counts > 0, "{tally:?}");
}

#[expect(clippy::unwrap_used, reason = "how a test fails")]
fn compare(random: &mut Random, old: &Ruleset, new: &Ruleset, packets: usize, tally: &mut Tally) {
    let verdicts = diff(old, new, Compare::Verdicts, &mut Budget::default()).unwrap();
    let deciders = diff(old, new, Compare::Deciders, &mut Budget::default()).unwrap();
    assert!(verdicts.undecided.is_empty() && deciders.undecided.is_empty());
    check_witnesses(&verdicts, old, new);
    check_witnesses(&deciders, old, new);
    tally.changes += verdicts.changes.len();
    tally.counts += deciders.counts.len();
    assert!(verdicts.counts.is_empty());
    let aims = [
        old.clone(),
        new.clone(),
        changed(old, new),
        changed(new, old),
    ];
    for turn in 0..packets {
        let probe = probe(random, &aims[turn % aims.len()]);
        let named = probe.named();
        let (Ok(fields), Some(_)) = (decode(&probe.frame), named.interface) else {
            continue;
        };
        if named.in_interface == Some(None) {
            continue;
        }
        let (before, after) = (
            classify(old, &fields, &named),
            classify(new, &fields, &named),
        );
        let differs = before.verdict != after.verdict;
        let context = || format!("{fields:?}, {named:?}: {before:?}, {after:?}");
        assert_eq!(
            verdicts.holds(old, new, &fields, &named),
            differs,
            "{}",
            context()
        );
        let moves = differs || name(old, before.outcome) != name(new, after.outcome);
        assert_eq!(
            deciders.holds(old, new, &fields, &named),
            moves,
            "{}",
            context()
        );
        check_counts(&deciders, old, new, [&before, &after], &context);
        if differs {
            tally.differing_packets += 1;
        } else {
            tally.same_packets += 1;
        }
    }
}

/// If a packet is counted under a name on only one side, this must have been reported.
fn check_counts(
    diff: &Diff,
    old: &Ruleset,
    new: &Ruleset,
    judged: [&Evaluation; 2],
    context: &impl Fn() -> String,
) {
    let [before, after] = [(old, judged[0]), (new, judged[1])].map(|(set, of)| counted(set, of));
    let told = |name: &str| diff.counts.iter().find(|of| of.name == name);
    for name in before.symmetric_difference(&after) {
        if ![old, new].into_iter().any(|set| only_counts(set, name)) {
            continue;
        }
        let told = told(name).map(|of| (of.lost.is_some(), of.gained.is_some()));
        let is_told = told.is_some_and(
            |(lost, gained)| {
                if before.contains(name) { lost } else { gained }
            },
        );
        assert!(is_told, "{name}: {told:?}: {}", context());
    }
}

fn only_counts(ruleset: &Ruleset, name: &str) -> bool {
    let mut rules = ruleset.rules.iter();
    rules.any(|rule| rule.name == name && rule.action == RuleAction::Count)
}

/// The names under which a packet is counted.
fn counted<'a>(ruleset: &'a Ruleset, judged: &Evaluation) -> BTreeSet<&'a str> {
    let decider = match judged.outcome {
        Outcome::Rule(id) => Some(id),
        Outcome::Reason(_) => None,
    };
    let rules = judged.counted.iter().copied().chain(decider);
    rules
        .map(|id| ruleset.rules[id.0 as usize].name.as_str())
        .collect()
}

/// The rules of `one` that are not at the same place in `other`.
fn changed(one: &Ruleset, other: &Ruleset) -> Ruleset {
    let same: HashSet<&str> = one
        .rules
        .iter()
        .zip(&other.rules)
        .filter(|(one, other)| one == other)
        .map(|(one, _)| one.name.as_str())
        .collect();
    let mut changed = one.clone();
    changed
        .rules
        .retain(|rule| !same.contains(rule.name.as_str()));
    changed.rules.truncate(20);
    changed
}

fn name(ruleset: &Ruleset, outcome: Outcome) -> String {
    match outcome {
        Outcome::Rule(id) => format!("rule {}", ruleset.rules[id.0 as usize].name),
        Outcome::Reason(reason) => format!("{reason:?}"),
    }
}

/// Each witness must be a possible frame, get the reported verdicts, and be in its own area.
fn check_witnesses(diff: &Diff, old: &Ruleset, new: &Ruleset) {
    for of in &diff.counts {
        for (witness, with, without) in [(&of.lost, old, new), (&of.gained, new, old)] {
            let Some(witness) = witness else { continue };
            let frame = frame(witness);
            let is_counted = |set: &Ruleset| {
                let judged = evaluate(set, &frame, &witness.named());
                counted(set, &judged).contains(of.name.as_str())
            };
            assert!(is_counted(with) && !is_counted(without), "{of:?}");
        }
    }
    for change in &diff.changes {
        for area in &change.areas {
            let witness = &area.witness;
            let frame = frame(witness);
            assert_eq!(decode(&frame), Ok(witness.fields()), "{witness}");
            for (ruleset, (decider, action)) in [(old, change.old), (new, change.new)] {
                let judged = evaluate(ruleset, &frame, &witness.named());
                assert_eq!(judged.verdict, action, "{witness}");
                match (decider, judged.outcome) {
                    (Decider::Rule(id), outcome) => assert_eq!(outcome, Outcome::Rule(id)),
                    (
                        Decider::Neighbor | Decider::Policy(_) | Decider::UnknownEthertype(_),
                        outcome,
                    ) => {
                        assert!(matches!(outcome, Outcome::Reason(_)), "{witness}");
                    }
                }
            }
            assert!(
                diff.holds(old, new, &witness.fields(), &witness.named()),
                "{witness}"
            );
        }
    }
}

#[test]
fn a_rule_set_is_the_same_as_itself() {
    for shape in Shape::ALL {
        let ruleset = ruleset(&mut Random::new(7), shape);
        let same = diff(
            &ruleset,
            &ruleset,
            Compare::Deciders,
            &mut Budget::default(),
        )
        .unwrap();
        assert!(same.changes.is_empty() && same.counts.is_empty() && same.undecided.is_empty());
    }
}

#[test]
fn without_a_budget_nothing_is_called_the_same() {
    let random = &mut Random::new(3);
    let (old, new) = (
        ruleset(random, Shape::Hundreds),
        ruleset(random, Shape::Hundreds),
    );
    for budget in [0, 100, 1000, 10_000, 30_000] {
        let mut budget = Budget::new(budget);
        let part = diff(&old, &new, Compare::Verdicts, &mut budget).unwrap();
        assert!(!part.undecided.is_empty(), "{budget:?}");
        check_witnesses(&part, &old, &new);
    }
}
