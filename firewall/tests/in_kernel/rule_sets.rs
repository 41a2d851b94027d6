//! The verdicts of whole rule sets: the program in the kernel and the reference evaluator agree on
//! every packet, and the counters on how often each rule decided.

use std::{collections::BTreeMap, sync::Arc};

use benches::{
    rulesets::{
        Family, Index, RuleSet, Verdict, classbench,
        generate::{Kind, rule_set},
        published,
        stream::{Pattern, Stream},
        trace::read_trace,
        write::firewall::{self, Settings},
    },
    tuple::Tuple,
};
use rules::{
    diagnostics::Source,
    evaluator::{self, Evaluation, Outcome, evaluate},
    load,
    ruleset::Ruleset,
};

use crate::{
    machine::{Count, Machine},
    test_run::{Action, Program},
};

/// Applies the rule set and judges packets that are aimed at it, and then those of `more`.
fn agrees(set: &RuleSet, packets: usize, more: &[Tuple]) {
    let machine = Machine::new();
    let text = firewall::rules(
        set,
        Settings {
            interface: machine.interface(),
            mode: "native",
        },
    );
    let _daemon = machine.apply(&machine.write_file(&text));
    let ruleset = ruleset(&text);
    let program = Program::of(&machine);
    let index = Index::new(set);
    let inside = Stream::new(&index, Pattern::Uniform, 1).take(packets / 5);
    let outside = Stream::new(&index, Pattern::Misses, 1).take(packets / 5);
    let bounds = Stream::new(&index, Pattern::Boundary, 1);
    let aimed = inside.chain(outside).chain(bounds).take(packets);
    let mut expected: BTreeMap<String, Count> = BTreeMap::new();
    for tuple in aimed.chain(more.iter().copied()) {
        let frame = tuple.packet().unwrap().build();
        let evaluation = evaluate(&ruleset, &frame, Some(machine.interface()));
        let action = match evaluation.action {
            evaluator::Action::Pass => Action::Pass,
            evaluator::Action::Drop => Action::Drop,
        };
        assert_eq!(
            program.run(&frame).unwrap(),
            action,
            "{tuple:?}: {evaluation:?}"
        );
        let count = expected.entry(name(&ruleset, &evaluation)).or_default();
        *count = (count.0 + 1, count.1 + frame.len() as u64);
    }
    let counters = machine.counters();
    for (name, count) in &expected {
        assert_eq!(counters.get(name), Some(count), "{name}");
    }
    assert_eq!(counters.len(), expected.len());
}

fn ruleset(text: &str) -> Ruleset {
    let source = Arc::new(Source::new("rules.toml", text));
    load(&source, |_| Err::<Source, _>("no such file"))
        .unwrap()
        .ruleset
}

/// Under which name a packet is counted.
fn name(ruleset: &Ruleset, evaluation: &Evaluation) -> String {
    match evaluation.outcome {
        Outcome::Rule(id) => ruleset.rules[id.0 as usize].name.clone(),
        Outcome::Reason(_) => "policy".to_owned(),
    }
}

#[test]
#[ignore = "needs root"]
fn an_access_control_list_is_kept() {
    agrees(
        &rule_set(Kind::Acl, Family::V4, 10_000, Verdict::Drop, 1),
        100_000,
        &[],
    );
}

#[test]
#[ignore = "needs root"]
fn the_rules_of_a_firewall_are_kept() {
    agrees(
        &rule_set(Kind::Fw, Family::V4, 1000, Verdict::Pass, 2),
        100_000,
        &[],
    );
}

#[test]
#[ignore = "needs root"]
fn a_chain_of_ipv6_rules_is_kept() {
    agrees(
        &rule_set(Kind::Ipc, Family::V6, 1000, Verdict::Drop, 3),
        100_000,
        &[],
    );
}

#[test]
#[ignore = "needs root"]
fn a_published_rule_set_of_a_hundred_thousand_rules_is_kept() {
    let Some(path) = published::files("classbench", &["acl1_100k.gz"]).pop() else {
        let folder = published::folder();
        println!("skipped: there are no rule sets in `{}`", folder.display());
        return;
    };
    let set = classbench::read_rules(&path, Verdict::Drop).unwrap();
    let trace = read_trace(&path.with_file_name("acl1_100k_trace.gz")).unwrap();
    // One packet in eight: the reference evaluator looks at every rule.
    let tuples: Vec<_> = trace.iter().step_by(8).map(|entry| entry.tuple).collect();
    agrees(&set, 20_000, &tuples);
}
