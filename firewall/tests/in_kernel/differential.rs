//! Random rule sets and packets aimed at their bounds: the evaluator, the compiled image walked in
//! user space and the program in the kernel agree on the verdict, the rules that count, the reason
//! where no rule decides, and what is told of packets of rules that log.
//!
//! A failure names the seed of its rule set. The environment chooses more than the usual:
//! `FIREWALL_PACKETS` how many packets there are, `FIREWALL_SEED` the first seed and
//! `FIREWALL_STRIDE` how far the seeds are apart, so that several processes take different ones.

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use firewall_ebpf::{
    abi::{Direction, Reason},
    image::{COUNT, DROP, PASS},
};
use rules::{
    compiler::CompileError,
    evaluator::{Evaluation, Outcome, evaluate},
    model::{RuleId, Verdict},
};
use rules_testing::{Engine, Random, Shape, probe, ruleset};

use crate::{
    kernel::{Kernel, Told, UNKNOWN},
    machine::Count,
    test_run::Action,
};

/// How many packets there are.
const PACKETS: u64 = 1_000_000;

/// How often progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs root"]
fn evaluator_user_space_and_kernel_agree_on_random_rule_sets() {
    let wanted = number("FIREWALL_PACKETS").unwrap_or(PACKETS);
    let stride = number("FIREWALL_STRIDE").unwrap_or(1);
    let mut seed = number("FIREWALL_SEED").unwrap_or(0);
    Kernel::with(|mut kernel| {
        let mut tally = Tally::default();
        let mut said = Instant::now();
        while tally.packets < wanted {
            case(&mut kernel, seed, wanted - tally.packets, &mut tally);
            seed += stride;
            if said.elapsed() > PROGRESS {
                eprintln!(
                    "{} of {wanted} packets; the next seed is {seed}",
                    tally.packets
                );
                said = Instant::now();
            }
        }
        println!("the next seed is {seed}: {tally:?}");
        if wanted >= PACKETS {
            tally.check();
        }
    });
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("`{name}` is no number: `{text}`")),
    )
}

/// The packets for one rule set.
const fn effort(shape: Shape) -> u64 {
    match shape {
        Shape::Thousands => 5000,
        Shape::Blocklist | Shape::Dense | Shape::Scattered => 4000,
        Shape::Hundreds => 2000,
        Shape::Few
        | Shape::Nested
        | Shape::Singles
        | Shape::Negatives
        | Shape::Interfaces
        | Shape::Counts
        | Shape::Wildcards
        | Shape::Upper
        | Shape::Details => 1000,
    }
}

#[derive(Debug, Default)]
struct Tally {
    rulesets: u64,
    /// Rule sets that have no image, or one that is too long here.
    left_out: u64,
    packets: u64,
    by_rule: u64,
    /// Packets out.
    out: u64,
    by_reason: BTreeMap<(Direction, Reason), u64>,
    told: u64,
}

impl Tally {
    /// Fails when the packets did not reach what they are meant to test.
    fn check(&self) {
        assert!(self.left_out < self.rulesets / 4, "{self:?}");
        assert!(self.by_rule > self.packets / 4, "{self:?}");
        assert!(self.told > self.packets / 50, "{self:?}");
        assert!(self.out > self.packets / 4, "{self:?}");
        for direction in Direction::ALL {
            for reason in Reason::ALL {
                // Nobody is banned here.
                let is_of_packets =
                    !matches!(reason, Reason::NoImage | Reason::BadImage | Reason::Banned);
                let is_there = self.by_reason.contains_key(&(direction, reason));
                assert_eq!(
                    is_there, is_of_packets,
                    "{direction:?} {reason:?}: {self:?}"
                );
            }
        }
    }
}

/// Judges packets by the rule set of a seed.
fn case(kernel: &mut Kernel, seed: u64, most: u64, tally: &mut Tally) {
    let shape = Shape::ALL[(seed % Shape::ALL.len() as u64) as usize];
    let _at_panic = Case { shape, seed };
    let mut random = Random::new(seed);
    let mut ruleset = ruleset(&mut random, shape);
    // Most rules are for packets in: every third rule set makes up for that.
    if seed % 3 == 2 {
        for rule in &mut ruleset.rules {
            rule.direction = Direction::Out;
        }
    }
    let engine = match Engine::new(&ruleset, random.bits()) {
        Ok(engine) => engine,
        Err(CompileError::TooManyCombinations { .. } | CompileError::TooMuchWork { .. }) => {
            tally.left_out += 1;
            return;
        }
        Err(error) => panic!("{} rules: {error}", ruleset.rules.len()),
    };
    if !kernel.put(engine.image().bytes()) {
        tally.left_out += 1;
        return;
    }
    tally.rulesets += 1;
    let slots: BTreeMap<RuleId, u32> = engine.slots().map(|(slot, rule)| (rule, slot)).collect();
    let reasons = Reason::ALL.iter().flat_map(|reason| {
        let slots = |direction| [false, true].map(|dropped| reason.slot(direction, dropped));
        Direction::ALL.into_iter().flat_map(slots)
    });
    let all: Vec<u32> = slots.values().copied().chain(reasons).collect();
    for slot in &all {
        kernel.counted(*slot);
    }
    let limited = kernel.limit(engine.logging()).clone();
    let mut expected: BTreeMap<u32, Count> = BTreeMap::new();
    for _ in 0..effort(shape).min(most) {
        let mut probe = probe(&mut random, &ruleset);
        if probe.named().interface.is_none() {
            probe.context.interface = UNKNOWN;
        }
        kernel.place(&mut probe);
        let wanted = evaluate(&ruleset, &probe.frame, &engine.context(&probe));
        let Some(action) = kernel.run(&probe) else {
            continue;
        };
        let what = || format!("interface {}: {}", probe.context.interface, probe.hex());
        assert_eq!(engine.judge(&probe).as_ref(), Ok(&wanted), "{}", what());
        assert_eq!(
            action,
            Action::from(wanted.verdict),
            "{wanted:?}: {}",
            what()
        );
        let mut told: Vec<Told> = wanted
            .counted
            .iter()
            .map(|rule| Told::of(&probe, slots[rule], COUNT))
            .collect();
        if let Outcome::Rule(rule) = wanted.outcome {
            let what = match wanted.verdict {
                Verdict::Pass => PASS,
                Verdict::Drop => DROP,
            };
            told.push(Told::of(&probe, slots[&rule], what));
        }
        told.retain(|told| limited.contains(&told.slot));
        assert_eq!(kernel.events(), told, "{}", what());
        tally.told += told.len() as u64;
        tally.packets += 1;
        let direction = probe.context.direction;
        tally.out += u64::from(direction == Direction::Out);
        let Evaluation {
            outcome,
            counted,
            verdict,
            ..
        } = wanted;
        let mut count = |slot| {
            let count = expected.entry(slot).or_default();
            *count = (count.0 + 1, count.1 + probe.frame.len() as u64);
        };
        counted.iter().for_each(|rule| count(slots[rule]));
        match outcome {
            Outcome::Rule(rule) => {
                tally.by_rule += 1;
                count(slots[&rule]);
            }
            Outcome::Reason(reason) => {
                *tally.by_reason.entry((direction, reason)).or_default() += 1;
                count(reason.slot(direction, verdict == Verdict::Drop));
            }
        }
    }
    for slot in all {
        let expected = expected.get(&slot).copied().unwrap_or_default();
        assert_eq!(kernel.counted(slot), expected, "slot {slot}");
    }
}

/// Says at a panic how to reach it again.
struct Case {
    shape: Shape,
    seed: u64,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { shape, seed } = self;
            eprintln!("{shape:?}: run again with FIREWALL_SEED={seed}");
        }
    }
}
