//! The proof for one rule set or list: three that decide, packet by packet.

use std::time::Instant;

use benches::{
    rulesets::{
        AddressList, Decision, Index, RuleSet, Verdict,
        stream::{Listed, Pattern, Stream, Target},
        write::{firewall, list::list},
    },
    tuple::Tuple,
};

use crate::engine::{Engine, INTERFACE};

const SETTINGS: firewall::Settings<'static> = firewall::Settings {
    interface: INTERFACE,
    mode: "native",
};

/// The patterns of packets, and how many of twenty are of each.
const PATTERNS: [(Pattern, usize); 4] = [
    (Pattern::Boundary, 11),
    (Pattern::Uniform, 4),
    (Pattern::Zipf { exponent: 1.0 }, 2),
    (Pattern::Misses, 3),
];

/// Judges `packets` packets that are aimed at a rule set, and then those of `more`: the image, the
/// reference evaluator, and the scan over the rules as they were before they became a rule file
/// must agree in rule and verdict.
pub(crate) fn rule_set(name: &str, set: &RuleSet, packets: usize, more: &[Tuple]) {
    let index = Index::new(set);
    let engine = engine(name, set.rules.len(), &firewall::rules(set, SETTINGS), "");
    let aimed = aimed(&index, packets).chain(more.iter().copied());
    prove(name, &engine, aimed, |tuple| index.decide(tuple));
}

/// The same for a list as the set of a rule that drops.
pub(crate) fn address_list(name: &str, addresses: &AddressList, packets: usize) {
    let listed = Listed::new(addresses);
    let rules = firewall::blocklist("list.txt", SETTINGS);
    let engine = engine(name, addresses.members.len(), &rules, &list(addresses));
    prove(name, &engine, aimed(&listed, packets), |tuple| {
        let is_listed = listed.matches(tuple);
        Decision {
            rule: is_listed.then_some(0),
            verdict: if is_listed {
                Verdict::Drop
            } else {
                Verdict::Pass
            },
        }
    });
}

fn engine(name: &str, size: usize, rules: &str, list: &str) -> Engine {
    let begin = Instant::now();
    let engine = Engine::new(rules, list)
        .unwrap_or_else(|error| panic!("{name}, {size} rules or members: {error}"));
    println!(
        "{name}: {size} rules or members, {} bytes, loaded and compiled in {:.1?}",
        engine.bytes(),
        begin.elapsed()
    );
    engine
}

fn aimed<T: Target>(target: &T, packets: usize) -> impl Iterator<Item = Tuple> {
    PATTERNS.into_iter().flat_map(move |(pattern, share)| {
        Stream::new(target, pattern, 1).take(packets * share / 20)
    })
}

fn prove(
    name: &str,
    engine: &Engine,
    tuples: impl Iterator<Item = Tuple>,
    decide: impl Fn(&Tuple) -> Decision,
) {
    let begin = Instant::now();
    let (mut packets, mut by_rule) = (0, 0);
    for tuple in tuples {
        let frame = tuple.packet().unwrap().build();
        let expected = decide(&tuple);
        assert_eq!(
            engine.evaluate(&frame),
            expected,
            "{name}: {tuple:?}, evaluator"
        );
        assert_eq!(engine.judge(&frame), expected, "{name}: {tuple:?}, image");
        packets += 1;
        by_rule += usize::from(expected.rule.is_some());
    }
    println!(
        "{name}: {packets} packets, {by_rule} matched by a rule, in {:.1?}",
        begin.elapsed()
    );
}
