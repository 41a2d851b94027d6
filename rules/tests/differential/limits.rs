//! Rule sets at the limits of the image: full nodes, the longest lists of `count` rules, the
//! longest walks.

use std::{num::NonZeroU32, sync::Arc};

use firewall_ebpf::image::MAX_WALK;
use rules::{
    Context,
    compiler::CompileError,
    evaluator::evaluate,
    field::{AddressSet, RangeSet},
    model::{
        Direction, Flows, Matches, Mode, Parser, Place, ReasonLogs, Rule, RuleAction, Ruleset,
        Settings, Verdict,
    },
};
use rules_testing::{Engine, Layer3, Probe, Recipe, Upper};

use super::parts::{Part, parts};

pub(super) fn ruleset(rules: impl IntoIterator<Item = (RuleAction, Matches)>) -> Ruleset {
    let rules = (1..).zip(rules).map(|(line, (action, matches))| Rule {
        name: format!("rule {line}"),
        direction: Direction::In,
        action,
        matches,
        log: None,
        comment: None,
        place: Place {
            line: NonZeroU32::MIN.saturating_add(line),
            column: NonZeroU32::MIN,
        },
    });
    Ruleset {
        settings: Settings {
            interfaces: Vec::new(),
            mode: Mode::Auto,
            policy: Verdict::Drop,
            policy_out: Verdict::Pass,
            parser: Parser::with_policy(Verdict::Drop),
            flows: Flows::default(),
            logs: ReasonLogs::default(),
        },
        rules: rules.collect(),
        disabled: Vec::new(),
    }
}

fn udp(src: u32, dport: u16) -> Probe {
    let recipe = Recipe {
        dst_mac: 2,
        src_mac: 1,
        tags: Vec::new(),
        layer3: Layer3::Ipv4 {
            src,
            dst: 1,
            options: Vec::new(),
            fragment: 0,
        },
        class: 0,
        hop_limit: 64,
        upper: Upper {
            protocol: 17,
            dport,
            ..Upper::default()
        },
        payload: Vec::new(),
        session: None,
        overstated: 0,
        padding: Vec::new(),
    };
    Probe {
        frame: recipe.bytes(),
        context: Context::arriving(2),
    }
}

fn agree(ruleset: &Ruleset, engine: &Engine, probe: &Probe) {
    let wanted = evaluate(ruleset, &probe.frame, &engine.context(probe));
    assert_eq!(engine.judge(probe), Ok(wanted), "{}", probe.hex());
}

/// All multiples of `step` that fit 16 bits.
fn multiples(step: usize) -> impl Iterator<Item = (u16, u16)> {
    (0..=u16::MAX).step_by(step).map(|value| (value, value))
}

#[test]
fn every_port_is_found_among_as_many_ranges_as_there_can_be() {
    let ports = |step| Matches {
        dport: Some(RangeSet::from_ranges(multiples(step).collect())),
        ..Matches::default()
    };
    for rules in [
        vec![(RuleAction::Pass, ports(0x8000))],
        vec![(RuleAction::Pass, ports(2)), (RuleAction::Count, ports(3))],
        vec![
            (RuleAction::Pass, ports(400)),
            (RuleAction::Drop, ports(401)),
        ],
    ] {
        let ruleset = ruleset(rules);
        let engine = Engine::new(&ruleset, 1).expect("the rules fit an image");
        for port in 0..=u16::MAX {
            agree(&ruleset, &engine, &udp(1, port));
        }
    }
}

#[test]
fn every_address_is_found_in_the_fullest_network() {
    // More networks than a hash table of single addresses can have.
    let addresses = |step| {
        let ranges = (0x0a00..0x0a09_u32).flat_map(|network| {
            multiples(step).map(move |(first, last)| {
                let network = network << 16;
                (network | u32::from(first), network | u32::from(last))
            })
        });
        Matches {
            src: Some(Arc::new(AddressSet {
                v4: RangeSet::from_ranges(ranges.collect()),
                v6: RangeSet::empty(),
            })),
            ..Matches::default()
        }
    };
    let alternate = vec![(RuleAction::Pass, addresses(2))];
    let three = vec![
        (RuleAction::Pass, addresses(2)),
        (RuleAction::Count, addresses(5)),
    ];
    for (rules, part) in [(alternate, Part::Pair), (three, Part::Pages)] {
        let ruleset = ruleset(rules);
        let engine = Engine::new(&ruleset, 1).expect("the rules fit an image");
        assert!(parts(engine.image()).contains(&part));
        for address in 0x09ff_fffe_u32..=0x0a01_0001 {
            agree(&ruleset, &engine, &udp(address, 53));
        }
    }
}

#[test]
fn addresses_are_told_apart_by_more_rules_than_16_bits_can_number() {
    // Rule `bit` matches the /26 networks in 10.0.0.0/9 whose number has that bit set. So each of
    // the 2^17 networks, 2^10 per /16, is matched by a different set of rules.
    let network = |number: u32| 0x0a00_0000 | number << 6;
    let rules = (0..17).map(|bit| {
        let members = (0..1 << 17).filter(|number| number >> bit & 1 == 1);
        let ranges = members.map(|number| (network(number), network(number) | 0x3f));
        let matches = Matches {
            src: Some(Arc::new(AddressSet {
                v4: RangeSet::from_ranges(ranges.collect()),
                v6: RangeSet::empty(),
            })),
            ..Matches::default()
        };
        (RuleAction::Count, matches)
    });
    let ruleset = ruleset(rules);
    let engine = Engine::new(&ruleset, 1).expect("the rules fit an image");
    for number in (0..1 << 17).step_by(7) {
        agree(&ruleset, &engine, &udp(network(number), 53));
    }
}

#[test]
fn counts_are_kept_however_many_rules_count_or_the_rules_are_refused() {
    let mut refused = 0;
    let longest = u64::from(MAX_WALK);
    for counting in (0..70).chain(longest - 60..longest + 2) {
        let all = (0..counting).map(|_| (RuleAction::Count, Matches::default()));
        for decided in [false, true] {
            let last = decided.then(|| (RuleAction::Pass, Matches::default()));
            let ruleset = ruleset(all.clone().chain(last));
            match Engine::new(&ruleset, counting) {
                Ok(engine) => agree(&ruleset, &engine, &udp(1, 53)),
                Err(CompileError::TooMuchWork { .. }) => refused += 1,
                Err(error) => assert_eq!(error.to_string(), ""),
            }
        }
    }
    // The numbers are on both sides of the limit.
    assert!((1..120).contains(&refused), "{refused}");
}

#[test]
fn a_match_is_found_wherever_among_many_rules_it_stands() {
    let port = |port| Matches {
        sport: Some(RangeSet::from_ranges(vec![(port, port)])),
        ..Matches::default()
    };
    let only = |address| Matches {
        src: Some(Arc::new(AddressSet {
            v4: RangeSet::from_ranges(vec![(address, address)]),
            v6: RangeSet::empty(),
        })),
        ..Matches::default()
    };
    for (action, apart, part) in [
        (RuleAction::Count, 100, Part::LongRows),
        (RuleAction::Drop, 25, Part::Tables),
    ] {
        // The ports make more combinations than a direct table or a grid can have.
        let rules = (0..8400_u32).map(|number| match number % apart {
            0 => (action, port(number as u16 + 1)),
            _ => (action, only(number)),
        });
        let ruleset = ruleset(rules);
        let engine = Engine::new(&ruleset, 1).expect("the rules fit an image");
        assert!(parts(engine.image()).contains(&part));
        for address in 0..8500 {
            agree(&ruleset, &engine, &udp(address, 53));
        }
    }
}
