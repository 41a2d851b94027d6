//! The verdicts of whole rule sets: the program in the kernel decides as the rules do, and the
//! counters say how often each did.

use std::{collections::BTreeMap, sync::Arc};

use benches::{
    rulesets::{
        Decision, Family, Index, RuleSet, Verdict, classbench,
        generate::{FilterKind, rule_set},
        published,
        stream::{Pattern, Stream},
        trace::trace_of,
        write::firewall::{self, Settings},
    },
    tuple::Tuple,
};
use rules::{
    Context,
    compiler::{Target, compile},
    diagnostics::Source,
    evaluator::{Evaluation, Outcome, evaluate},
    load,
    model::{self, RuleId, Ruleset},
};

use crate::{
    machine::{Count, Machine},
    test_run::{Action, Program},
};

/// How many packets are aimed at a rule set.
const PACKETS: usize = 100_000;

/// How many rules the reference evaluator looks at for one set, about.
fn evaluated() -> usize {
    if published::may_be_long() {
        1_000_000_000
    } else {
        100_000_000
    }
}

/// Applies the rule set and judges packets that are aimed at it, and then those of `more`. The
/// reference evaluator judges them too, or one in several when there are many rules.
fn agrees(set: &RuleSet, more: &[Tuple]) {
    let machine = Machine::new();
    let settings = Settings {
        interface: machine.interface(),
        mode: "native",
    };
    let text = firewall::rules(set, settings);
    let _daemon = machine.apply(&machine.write_file(&text));
    let ruleset = ruleset(&text);
    let program = Program::of(&machine);
    let index = Index::new(set);
    let step = ((PACKETS + more.len()) * set.rules.len()).div_ceil(evaluated());
    let mut expected: BTreeMap<String, Count> = BTreeMap::new();
    let tuples = aimed(&index).chain(more.iter().copied());
    for (number, tuple) in tuples.enumerate() {
        let frame = tuple.packet().unwrap().build();
        let decision = index.decide(&tuple);
        if number % step == 0 {
            let evaluation = evaluate(
                &ruleset,
                &frame,
                &Context::arriving(Some(machine.interface())),
            );
            assert!(
                is_same(decision, &evaluation),
                "{tuple:?}: {decision:?}, {evaluation:?}"
            );
        }
        let action = match decision.verdict {
            Verdict::Pass => Action::Pass,
            Verdict::Drop => Action::Drop,
        };
        assert_eq!(
            program.run(&frame).unwrap(),
            action,
            "{tuple:?}: {decision:?}"
        );
        let name = decision
            .rule
            .map_or_else(|| "policy".to_owned(), firewall::rule_name);
        let count = expected.entry(name).or_default();
        *count = (count.0 + 1, count.1 + frame.len() as u64);
    }
    let counters = machine.counters();
    for (name, count) in &expected {
        assert_eq!(counters.get(name), Some(count), "{name}");
    }
    assert_eq!(counters.len(), expected.len());
}

fn aimed(index: &Index<'_>) -> impl Iterator<Item = Tuple> {
    let inside = Stream::new(index, Pattern::Uniform, 1).take(PACKETS / 5);
    let outside = Stream::new(index, Pattern::Misses, 1).take(PACKETS / 5);
    let bounds = Stream::new(index, Pattern::Boundary, 1);
    inside.chain(outside).chain(bounds).take(PACKETS)
}

fn ruleset(text: &str) -> Ruleset {
    let source = Arc::new(Source::new("rules.toml", text));
    let loaded = load(&source, |_| Err::<Source, _>("no such file"));
    loaded.unwrap().ruleset
}

fn is_same(decision: Decision, evaluation: &Evaluation) -> bool {
    let verdict = match decision.verdict {
        Verdict::Pass => model::Verdict::Pass,
        Verdict::Drop => model::Verdict::Drop,
    };
    let rule = match evaluation.outcome {
        Outcome::Rule(RuleId(index)) => Some(index as usize),
        Outcome::Reason(_) => None,
    };
    (decision.rule, verdict) == (rule, evaluation.verdict)
}

/// Whether the image of the IPv4 or IPv6 rules has a part of this name; the tests are there to
/// try every structure of the image in the kernel.
fn has_part(set: &RuleSet, part: &str) -> bool {
    let ruleset = ruleset(&firewall::rules(
        set,
        Settings {
            interface: "eth0",
            mode: "native",
        },
    ));
    let slots: Vec<u32> = (100..).take(ruleset.rules.len()).collect();
    let target = Target {
        interfaces: &[],
        slots: &slots,
        metadata: &[],
        max_bytes: 1 << 28,
    };
    let image = compile(&ruleset, &target).unwrap();
    let sections = image.plan().sections.iter().take(2);
    sections
        .flat_map(|section| &section.parts)
        .any(|found| found.name() == part)
}

fn agrees_with(part: &str, set: &RuleSet) {
    assert!(has_part(set, part), "no {part}");
    agrees(set, &[]);
}

#[test]
#[ignore = "needs root"]
fn an_access_control_list_is_kept_in_pairs() {
    agrees_with(
        "pairs",
        &rule_set(FilterKind::Acl, Family::V4, 10_000, Verdict::Drop, 1),
    );
}

#[test]
#[ignore = "needs root"]
fn the_rules_of_a_firewall_are_kept_in_a_grid() {
    agrees_with(
        "grid",
        &rule_set(FilterKind::Fw, Family::V4, 300, Verdict::Pass, 2),
    );
}

#[test]
#[ignore = "needs root"]
fn ipv6_rules_are_kept_in_a_grid() {
    agrees_with(
        "grid",
        &rule_set(FilterKind::Acl, Family::V6, 500, Verdict::Drop, 4),
    );
}

#[test]
#[ignore = "needs root"]
fn a_few_rules_are_kept_in_cells() {
    agrees_with(
        "cells",
        &rule_set(FilterKind::Ipc, Family::V4, 10, Verdict::Drop, 5),
    );
}

#[test]
#[ignore = "needs root"]
fn a_chain_of_ipv6_rules_is_kept_in_pairs() {
    agrees_with(
        "pairs",
        &rule_set(FilterKind::Ipc, Family::V6, 5000, Verdict::Drop, 3),
    );
}

/// A published set and the packets of its trace, else a generated one: the packets that are aimed at it
/// are always judged.
#[test]
#[ignore = "needs root"]
fn a_rule_set_of_a_hundred_thousand_rules_is_kept() {
    let Some(path) = published::files("classbench", &["acl1_100k.gz"]).pop() else {
        let set = rule_set(FilterKind::Acl, Family::V4, 100_000, Verdict::Drop, 6);
        agrees(&set, &[]);
        return;
    };
    let set = classbench::read_rules(&path, Verdict::Drop).unwrap();
    let trace = trace_of(&path).unwrap();
    let tuples: Vec<_> = trace.iter().map(|entry| entry.tuple).collect();
    agrees(&set, &tuples);
}
