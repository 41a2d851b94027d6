//! Compares the compiled image, walked as the XDP program does, with the reference evaluator, on
//! random rule sets and packets aimed at their bounds.
//!
//! A failure names the seed of its case, which `FIREWALL_SEED=<seed>` runs again alone.
//! `FIREWALL_ROUNDS=<n>` runs n times as many cases.

mod interpreted;
mod limits;
mod parts;
mod states;
mod updates;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
};

use firewall_ebpf::abi::Reason;
use rules::{
    compiler::CompileError,
    evaluator::{Evaluation, Outcome, evaluate},
    model::{Matches, Ruleset, Settings, Verdict},
    text::hexadecimal,
};
use rules_testing::{Engine, Probe, Random, Shape, ask_for_states, probe, ruleset, shrink};

use self::parts::{Part, parts};

/// The number of rule sets, and of packets for each.
struct Effort {
    rulesets: u64,
    packets: u64,
}

macro_rules! shapes {
    ($($name:ident: $shape:ident, $rulesets:literal x $packets:literal;)*) => {
        $(#[test]
        fn $name() {
            run(Shape::$shape, &Effort { rulesets: $rulesets, packets: $packets });
        })*

        #[test]
        fn every_shape_is_tried_and_the_packets_are_a_million() {
            let tried = [$(Shape::$shape),*];
            assert!(Shape::ALL.iter().all(|shape| tried.contains(shape)));
            let packets: u64 = [$($rulesets * $packets),*].iter().sum();
            assert!(packets >= 1_000_000);
        }
    };
}

shapes! {
    few_rules: Few, 2000 x 100;
    hundreds_of_rules: Hundreds, 60 x 2000;
    thousands_of_rules: Thousands, 10 x 5000;
    nested_prefixes: Nested, 500 x 200;
    single_addresses: Singles, 300 x 350;
    negatives: Negatives, 300 x 400;
    interfaces: Interfaces, 500 x 200;
    many_count_rules: Counts, 200 x 500;
    wildcards: Wildcards, 1000 x 100;
    ports_flags_and_messages: Upper, 300 x 350;
    ethertypes_tags_and_other_details: Details, 400 x 400;
    long_address_lists: Blocklist, 120 x 1000;
    long_lists_in_few_networks: Dense, 20 x 3000;
    long_lists_in_many_networks: Scattered, 20 x 3000;
}

fn run(shape: Shape, effort: &Effort) {
    let number = |name| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let mut tally = Tally::default();
    if let Some(seed) = number("FIREWALL_SEED") {
        case(shape, seed, effort.packets, &mut tally);
    } else {
        let mut seeds = Random::new(shape as u64);
        for _ in 0..effort.rulesets * number("FIREWALL_ROUNDS").unwrap_or(1) {
            case(shape, seeds.bits(), effort.packets, &mut tally);
        }
        tally.check(shape);
    }
    println!("{shape:?}: {tally:?}");
}

#[expect(clippy::panic, reason = "how a test fails")]
fn case(shape: Shape, seed: u64, packets: u64, tally: &mut Tally) {
    let mut random = Random::new(seed);
    let mut ruleset = ruleset(&mut random, shape);
    if seed.is_multiple_of(4) {
        ask_for_states(&mut random, &mut ruleset);
    }
    let _at_panic = Case { shape, seed };
    let target = random.bits();
    let engine = match Engine::new(&ruleset, target) {
        Ok(engine) => engine,
        Err(CompileError::TooManyCombinations { .. } | CompileError::TooMuchWork { .. }) => {
            tally.refused += 1;
            return;
        }
        Err(error) => panic!("{} rules: {error}", ruleset.rules.len()),
    };
    tally.rulesets += 1;
    tally.parts.extend(parts(engine.image()));
    for _ in 0..packets {
        let probe = probe(&mut random, &ruleset);
        let wanted = evaluate(&ruleset, &probe.frame, &engine.context(&probe));
        if engine.judge(&probe).as_ref() != Ok(&wanted) {
            let smallest = shrink(&ruleset, |candidate| differs(candidate, target, &probe));
            panic!("{}", report(target, &ruleset, &smallest, &probe));
        }
        tally.add(&wanted);
    }
}

/// Prints on a panic, whatever its cause, how to reproduce it.
struct Case {
    shape: Shape,
    seed: u64,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{:?}: run again with FIREWALL_SEED={}",
                self.shape, self.seed
            );
        }
    }
}

fn differs(ruleset: &Ruleset, target: u64, probe: &Probe) -> bool {
    Engine::new(ruleset, target).is_ok_and(|engine| {
        let wanted = evaluate(ruleset, &probe.frame, &engine.context(probe));
        engine.judge(probe) != Ok(wanted)
    })
}

fn report(target: u64, ruleset: &Ruleset, smallest: &Ruleset, probe: &Probe) -> String {
    let judged = |ruleset: &Ruleset| match Engine::new(ruleset, target) {
        Ok(engine) => {
            let context = engine.context(probe);
            let wanted = evaluate(ruleset, &probe.frame, &context);
            let found = engine.judge(probe);
            format!("{context:?}\nevaluator: {wanted:?}\n   engine: {found:?}")
        }
        Err(error) => error.to_string(),
    };
    format!(
        "frame {} in {:?}\n{}\nand with the fewest of the {} rules:\n{}{}\n",
        hexadecimal::digits(&probe.frame),
        probe.context,
        judged(ruleset),
        ruleset.rules.len(),
        list(smallest),
        judged(smallest),
    )
}

/// The rules, one per line, without the fields that they leave open.
fn list(ruleset: &Ruleset) -> String {
    let Settings {
        policy,
        policy_out,
        parser,
        ..
    } = &ruleset.settings;
    let mut text = format!("policy {policy:?}, out {policy_out:?}, {parser:?}\n");
    for rule in &ruleset.rules {
        let field = |name: &str, value: Option<String>| {
            value.map_or_else(String::new, |value| format!(" {name}={value}"))
        };
        macro_rules! fields {
            ($($name:ident),*) => {{
                // Without a rest: a new field has to be named here.
                let Matches { $($name),* } = &rule.matches;
                [$(field(stringify!($name), $name.as_ref().map(|value| format!("{value:x?}")))),*]
            }};
        }
        let fields = fields!(
            interface,
            family,
            src,
            dst,
            proto,
            sport,
            dport,
            tcp_flags,
            icmp,
            ethertype,
            vlan,
            src_mac,
            dst_mac,
            length,
            ttl,
            dscp,
            ip_option,
            fragment,
            in_interface,
            forwarded,
            mark,
            state
        );
        let (name, direction, action) = (&rule.name, rule.direction, rule.action);
        let _ = writeln!(text, "{name} {direction:?} {action:?}{}", fields.concat());
    }
    text
}

/// Statistics of the decisions.
#[derive(Debug, Default)]
struct Tally {
    /// The number of rule sets compiled.
    rulesets: u64,
    /// The number of rule sets that the compiler refused.
    refused: u64,
    /// The parts that occurred in the images.
    parts: BTreeSet<Part>,
    packets: u64,
    rule_passes: u64,
    rule_drops: u64,
    counts: u64,
    reasons: BTreeMap<Reason, u64>,
}

impl Tally {
    fn add(&mut self, evaluation: &Evaluation) {
        self.packets += 1;
        self.counts += evaluation.counted.len() as u64;
        match (evaluation.outcome, evaluation.verdict) {
            (Outcome::Rule(_), Verdict::Pass) => self.rule_passes += 1,
            (Outcome::Rule(_), Verdict::Drop) => self.rule_drops += 1,
            (Outcome::Reason(reason), Verdict::Pass | Verdict::Drop) => {
                *self.reasons.entry(reason).or_default() += 1;
            }
        }
    }

    /// Fails if the packets did not reach everything that they are meant to test.
    fn check(&self, shape: Shape) {
        assert!(self.refused < self.rulesets / 4, "{shape:?}: {self:?}");
        for part in parts_of(shape) {
            assert!(self.parts.contains(part), "{shape:?}: {self:?}");
        }
        assert!(self.rule_passes > self.packets / 50, "{shape:?}: {self:?}");
        assert!(self.rule_drops > self.packets / 50, "{shape:?}: {self:?}");
        assert!(self.counts > self.packets / 50, "{shape:?}: {self:?}");
        let every_rule_set = [
            Reason::Malformed,
            Reason::Truncated,
            Reason::TooManyHeaders,
            Reason::TooManyTags,
        ];
        // Many rules leave nothing to the policy.
        let few_rules = [Reason::Policy, Reason::Neighbor, Reason::UnknownEthertype];
        let few_rules = few_rules.iter().filter(|_| shape == Shape::Few);
        for reason in every_rule_set.iter().chain(few_rules) {
            assert!(self.reasons.contains_key(reason), "{shape:?}: {self:?}");
        }
    }
}

/// The parts that the images of this shape together must contain.
const fn parts_of(shape: Shape) -> &'static [Part] {
    match shape {
        Shape::Few | Shape::Nested | Shape::Wildcards => {
            &[Part::Cells, Part::References, Part::Multibit]
        }
        Shape::Blocklist => &[Part::References, Part::Pages],
        Shape::Dense => &[Part::References, Part::Pair],
        Shape::Scattered => &[Part::References, Part::Uniform],
        Shape::Thousands => &[
            Part::Pages,
            Part::Wide,
            Part::Records,
            Part::Pairs,
            Part::Lists,
            Part::Tables,
            Part::Rows,
        ],
        Shape::Singles => &[Part::Grid, Part::Rows, Part::Multibit, Part::Hash],
        Shape::Hundreds
        | Shape::Negatives
        | Shape::Interfaces
        | Shape::Counts
        | Shape::Upper
        | Shape::Details => &[Part::Grid, Part::Rows, Part::References, Part::Multibit],
    }
}
