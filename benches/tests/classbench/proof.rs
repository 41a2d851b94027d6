//! The proof for one rule set or list: compares three deciders, packet by packet.

use std::time::Instant;

use benches::{
    rulesets::{
        AddressList, Decision, Index, ListPolicy, RuleSet, Verdict,
        stream::{Listed, Pattern, Regions, Stream},
        write::{firewall, list::list},
    },
    tuple::Tuple,
};

use crate::engine::{Engine, INTERFACE};

const SETTINGS: firewall::Settings<'static> = firewall::Settings {
    interface: INTERFACE,
    mode: "native",
};

/// The patterns of packets, and the number out of twenty of each; the others are at the bounds.
const PATTERNS: [(Pattern, usize); 3] = [
    (Pattern::Uniform, 4),
    (Pattern::Zipf { exponent: 1.0 }, 2),
    (Pattern::Misses, 3),
];

/// Classifies `packets` packets aimed at a rule set, and then those of `more`: the image, the
/// reference evaluator, and the original rules must agree in rule and verdict. Otherwise, the error
/// names the one that does not. The reference evaluator tests about `evaluated` rules: it
/// classifies each packet if that is enough, otherwise one in several.
pub(crate) fn rule_set(
    name: &str,
    set: &RuleSet,
    packets: usize,
    more: &[Tuple],
    evaluated: usize,
) -> Result<(), String> {
    let index = Index::new(set);
    let engine = engine(name, set.rules.len(), &firewall::rules(set, SETTINGS), "")?;
    let aimed = aimed(&index, packets).chain(more.iter().copied());
    let step = ((packets + more.len()) * set.rules.len()).div_ceil(evaluated);
    prove(name, &engine, aimed, step, |tuple| index.decide(tuple))
}

/// The same for a list as the set of a rule that drops.
pub(crate) fn address_list(
    name: &str,
    addresses: &AddressList,
    packets: usize,
) -> Result<(), String> {
    let listed = Listed::new(addresses);
    let rules = firewall::list("list.txt", ListPolicy::BLOCKLIST, SETTINGS);
    let engine = engine(name, addresses.members.len(), &rules, &list(addresses))?;
    prove(name, &engine, aimed(&listed, packets), 1, |tuple| {
        let is_listed = listed.matches(tuple);
        Decision {
            rule: is_listed.then_some(0),
            verdict: if is_listed {
                Verdict::Drop
            } else {
                Verdict::Pass
            },
        }
    })
}

fn engine(name: &str, size: usize, rules: &str, list: &str) -> Result<Engine, String> {
    let begin = Instant::now();
    let engine = Engine::new(rules, list)
        .map_err(|error| format!("{name}, {size} rules or members: {error}"))?;
    println!(
        "{name}: {size} rules or members, {} bytes, loaded and compiled in {:.1?}",
        engine.bytes(),
        begin.elapsed()
    );
    Ok(engine)
}

fn aimed<T: Regions>(target: &T, packets: usize) -> impl Iterator<Item = Tuple> {
    let some = PATTERNS.into_iter().flat_map(move |(pattern, share)| {
        Stream::new(target, pattern, 1).take(packets * share / 20)
    });
    some.chain(Stream::new(target, Pattern::Boundary, 1))
        .take(packets)
}

/// Classifies each packet by the image, and one in `step` by the reference evaluator.
fn prove(
    name: &str,
    engine: &Engine,
    tuples: impl Iterator<Item = Tuple>,
    step: usize,
    decide: impl Fn(&Tuple) -> Decision,
) -> Result<(), String> {
    let begin = Instant::now();
    let (mut packets, mut by_rule) = (0, 0);
    for tuple in tuples {
        let frame = tuple.packet().unwrap().build();
        let expected = decide(&tuple);
        let differs = |who: &str, found: Decision| {
            (found != expected).then(|| {
                format!("{name}: {tuple:?}: {expected:?} is right, the {who} says {found:?}")
            })
        };
        if let Some(report) = differs("image", engine.judge(&frame)) {
            return Err(report);
        }
        if packets % step.max(1) == 0
            && let Some(report) = differs("evaluator", engine.evaluate(&frame))
        {
            return Err(report);
        }
        packets += 1;
        by_rule += usize::from(expected.rule.is_some());
    }
    println!(
        "{name}: {packets} packets, {by_rule} matched by a rule, one in {step} evaluated, \
         in {:.1?}",
        begin.elapsed()
    );
    Ok(())
}
