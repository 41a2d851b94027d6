//! The fields that few rules name: the program in the kernel decides by them as the reference
//! evaluator does.

use std::{collections::BTreeMap, sync::Arc};

use rules::{
    Context,
    diagnostics::Source,
    evaluator::{Evaluation, Outcome, evaluate},
    load,
    model::{RuleId, Ruleset},
};
use rules_testing::{Random, probe};

use crate::{
    machine::{Count, Machine},
    test_run::{Action, Program},
};

/// Each field in every kind of packet that has it, alone and beside another.
const RULES: &str = r#"
[[rule]]
name = "every tag"
action = "count"
vlan = "!none"

[[rule]]
name = "lldp and eapol"
action = "pass"
ethertype = ["lldp", "eapol", "0x8800-0x8809"]

[[rule]]
name = "guests"
action = "drop"
vlan = ["100-199", "!150", 4095]
ethertype = ["ipv4", "arp"]

[[rule]]
name = "untagged arp of a vendor"
action = "pass"
ethertype = "arp"
vlan = ["none", 0]
src_mac = ["00:1b:21:00:00:00/24", "!00:1b:21:00:00:07"]

[[rule]]
name = "printers"
action = "drop"
src_mac = ["02:00:00:00:00:01", "02:00:00:00:00:03-02:00:00:00:00:09"]
dst_mac = "!ff:ff:ff:ff:ff:ff"
ttl = "!64"

[[rule]]
name = "broadcasts"
action = "count"
dst_mac = "ff:ff:ff:ff:ff:ff"

[[rule]]
name = "last hop"
action = "drop"
ttl = ["0-1", 255]
vlan = "none"

[[rule]]
name = "voice"
action = "pass"
dscp = ["ef", "cs5", "af41", "!40"]
proto = "udp"

[[rule]]
name = "fragments of udp"
action = "drop"
fragment = true
proto = "udp"

[[rule]]
name = "whole and short"
action = "pass"
fragment = false
length = "0-63"

[[rule]]
name = "long"
action = "drop"
length = ["576-1400", "!1000"]
dscp = "!cs0"

[[rule]]
name = "source routes"
action = "drop"
ip_option = ["lsrr", "ssrr"]

[[rule]]
name = "alerts"
action = "pass"
ip_option = "router-alert"
ttl = "!1"

[[rule]]
name = "other options"
action = "count"
ip_option = ["!nop", "!eol"]

[[rule]]
name = "fragments"
action = "count"
fragment = true
"#;

/// How many packets are aimed at the rules.
const PACKETS: usize = 60_000;

/// What a test run takes, in bytes.
const FRAMES: std::ops::RangeInclusive<usize> = 14..=3000;

#[test]
#[ignore = "needs root"]
fn every_field_decides_in_the_kernel_as_it_does_in_the_evaluator() {
    let machine = Machine::new();
    let path = machine.write_rules("pass", RULES);
    let _daemon = machine.apply(&path);
    let ruleset = ruleset(&std::fs::read_to_string(path).unwrap());
    let program = Program::of(&machine);
    let mut random = Random::new(1);
    let mut expected: BTreeMap<String, Count> = BTreeMap::new();
    let mut count = |name: &str, frame: &[u8]| {
        let count = expected.entry(name.to_owned()).or_default();
        *count = (count.0 + 1, count.1 + frame.len() as u64);
    };
    for _ in 0..PACKETS {
        let frame = probe(&mut random, &ruleset).frame;
        if !FRAMES.contains(&frame.len()) {
            continue;
        }
        let Evaluation {
            outcome,
            verdict,
            counted,
        } = evaluate(
            &ruleset,
            &frame,
            &Context::arriving(Some(machine.interface())),
        );
        let wanted = Action::from(verdict);
        assert_eq!(
            program.run(&frame).unwrap(),
            wanted,
            "{outcome:?}: {frame:02x?}"
        );
        let name = |RuleId(id)| ruleset.rules[id as usize].name.as_str();
        counted
            .into_iter()
            .for_each(|rule| count(name(rule), &frame));
        match outcome {
            Outcome::Rule(rule) => count(name(rule), &frame),
            Outcome::Reason(reason) => count(reason.name(), &frame),
        }
    }
    for rule in &ruleset.rules {
        let matched = expected.get(&rule.name).map_or(0, |(packets, _)| *packets);
        assert!(matched > 100, "`{}` matched {matched} packets", rule.name);
    }
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, c)| (name.as_str(), *c))
        .collect();
    machine.await_counters(&expected);
}

fn ruleset(text: &str) -> Ruleset {
    let source = Arc::new(Source::new("rules.toml", text));
    let loaded = load(&source, |_| Err::<Source, _>("no such file"));
    loaded.unwrap().ruleset
}
