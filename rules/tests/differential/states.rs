//! Sections by the state of packets: each distinct set of rules is compiled once.

use std::{net::IpAddr, sync::Arc};

use firewall_ebpf::{
    abi::Direction,
    image::{
        Memory as _, REVERSE, RuleSlot, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, SECTIONS_END,
        STATE_SECTIONS_END, Section, section_offset, state_offset,
    },
    parse::parse,
    walk::{Classification, Counts, Hook, classify},
};
use rules::{
    Context,
    compiler::Image,
    diagnostics::Source,
    evaluator::{
        decode,
        flows::{lets_in_invoking, reverse_verdict},
    },
    field::State,
    load,
    model::{Ruleset, Verdict},
    packet::Packet,
    walker,
};
use rules_testing::{Engine, Probe, Random, Setting, Shape, ask_for_states, probe};

#[expect(clippy::unwrap_used, reason = "how a test fails")]
fn ruleset(rules: &[&str]) -> Ruleset {
    let mut text = "[firewall]\ninterfaces = [\"eth0\"]\npolicy = \"drop\"\n".to_owned();
    for (number, fields) in rules.iter().enumerate() {
        text += &format!("[[rule]]\nname = \"{number}\"\naction = \"pass\"\n{fields}\n");
    }
    let source = Arc::new(Source::new("rules.toml", text));
    let loaded = load(&source, |_| Err::<Source, _>("no such file"));
    loaded
        .map_err(|errors| format!("{errors:?}"))
        .unwrap()
        .ruleset
}

#[expect(clippy::unwrap_used, reason = "how a test fails")]
fn image(rules: &[&str]) -> Image {
    let ruleset = ruleset(rules);
    let setting = Setting::plain(&ruleset);
    let engine = Engine::of(
        rules::compiler::compile(&ruleset, &setting.target()).unwrap(),
        &setting,
    );
    engine.image().clone()
}

/// The packets of each section in the plan.
fn planned(image: &Image) -> Vec<String> {
    let sections = image.plan().sections.iter();
    sections.map(|section| section.kind().to_string()).collect()
}

/// The words of the section of a state.
fn words(image: &Image, direction: Direction, section: u32, state: State) -> Vec<u32> {
    words_of(image, direction, section, state.number())
}

fn words_of(image: &Image, direction: Direction, section: u32, state: u32) -> Vec<u32> {
    let first = section_offset(direction, section) + state_offset(state);
    let offsets = (first..first + size_of::<Section>() as u32).step_by(4);
    offsets.map(|offset| image.bytes().u32(offset)).collect()
}

const SSH: &str = "proto = \"tcp\"\ndport = 22";

#[test]
fn states_with_the_same_rules_share_a_section() {
    let with = image(&[
        "state = [\"established\", \"related\"]",
        SSH,
        "ethertype = \"arp\"",
    ]);
    assert_eq!(
        planned(&with),
        [
            "new or invalid IPv4",
            "established or related IPv4",
            "new or invalid IPv6",
            "established or related IPv6",
            "other"
        ]
    );
    let [new, established, related, invalid] = State::ALL;
    for section in [SECTION_IPV4, SECTION_IPV6] {
        let of = |state| words(&with, Direction::In, section, state);
        assert_eq!(of(new), of(invalid));
        assert_eq!(of(established), of(related));
        assert_ne!(of(new), of(established));
        let out = |state| words(&with, Direction::Out, section, state);
        assert!(State::ALL.into_iter().all(|state| out(state) == out(new)));
        assert!(out(new).iter().any(|word| *word >= STATE_SECTIONS_END));
    }
    // What is not IP has no state.
    let other = |state| words(&with, Direction::In, SECTION_OTHER, state);
    assert!(other(new).iter().any(|word| *word != 0));
    assert!(other(established).iter().all(|word| *word == 0));
}

#[test]
fn each_state_has_a_section_if_the_rules_tell_all_apart() {
    let of_each = image(&[
        "state = \"established\"\nproto = \"udp\"",
        "state = \"related\"",
        "state = \"!invalid\"\nfamily = \"ipv4\"",
    ]);
    assert_eq!(
        planned(&of_each),
        [
            "new IPv4",
            "established IPv4",
            "related IPv4",
            "invalid IPv4",
            "new or invalid IPv6",
            "established IPv6",
            "related IPv6",
            "other"
        ]
    );
}

#[test]
fn a_rule_set_without_states_has_no_sections_for_them() {
    let without = image(&[SSH]);
    assert_eq!(planned(&without), ["IPv4", "IPv6", "other"]);
    let with = image(&[SSH, "state = [\"new\", \"!new\"]"]);
    // Nothing matches the other rule, so the rules are the same, and stand further back.
    assert_eq!(planned(&with), ["IPv4", "IPv6", "other"]);
    let more = with.bytes().len() - without.bytes().len();
    assert!(more >= (STATE_SECTIONS_END - SECTIONS_END) as usize);
}

/// A packet in that is not seen, but that an answer is to.
struct Answered(u32);

impl Hook for Answered {
    fn direction(&self) -> Direction {
        Direction::In
    }

    fn interface(&self) -> u32 {
        self.0
    }

    fn state(&self) -> u32 {
        REVERSE
    }
}

/// Counts nothing: nothing may be counted.
struct Uncounted;

impl Counts for Uncounted {
    #[expect(clippy::panic, reason = "how a test fails")]
    fn count(&mut self, slot: RuleSlot) {
        panic!("{slot:?} is counted");
    }
}

/// Calls `judge` with random packets, and with random rule sets of several shapes that ask for states.
fn each_probe(seed: u64, mut judge: impl FnMut(&Ruleset, &Engine, &Probe)) {
    let mut seeds = Random::new(seed);
    for shape in [
        Shape::Few,
        Shape::Hundreds,
        Shape::Upper,
        Shape::Details,
        Shape::Negatives,
    ] {
        for _ in 0..10 {
            let random = &mut Random::new(seeds.bits());
            let mut ruleset = rules_testing::ruleset(random, shape);
            ask_for_states(random, &mut ruleset);
            let Ok(engine) = Engine::new(&ruleset, 7) else {
                continue;
            };
            if !ruleset.asks_for_states() {
                continue;
            }
            for _ in 0..200 {
                judge(&ruleset, &engine, &probe(random, &ruleset));
            }
        }
    }
}

#[test]
fn what_packets_out_answer_is_judged_by_what_is_known_of_it() {
    let (mut passed, mut dropped) = (0, 0);
    each_probe(0xa5, |ruleset, engine, probe| {
        let (Ok(headers), Ok(fields)) = (parse(&probe.frame[..]), decode(&probe.frame)) else {
            return;
        };
        if fields.family.is_none() || fields.is_fragment == Some(true) {
            return;
        }
        let context = Context::arriving(engine.context(probe).interface);
        let expected = reverse_verdict(ruleset, &fields, &context);
        let hook = Answered(probe.context.interface);
        let found = classify(
            engine.image().bytes(),
            &probe.frame[..],
            &headers,
            &hook,
            &mut Uncounted,
        );
        let found = match found {
            Classification::Pass(_) => Some(Verdict::Pass),
            Classification::Drop(_) => Some(Verdict::Drop),
            Classification::NoRule(_) => None,
        };
        assert_eq!(found, expected, "{}: {fields:?}", probe.hex());
        passed += usize::from(found == Some(Verdict::Pass));
        dropped += usize::from(found == Some(Verdict::Drop));
    });
    assert!(passed > 500 && dropped > 20, "{passed} {dropped}");
}

#[test]
fn errors_about_what_rules_let_in_are_judged_by_what_they_quote() {
    let (mut related, mut invalid) = (0, 0);
    each_probe(0xe4, |ruleset, engine, probe| {
        let Ok(fields) = decode(&probe.frame) else {
            return;
        };
        let (Some(src), Some(dst)) = (fields.src, fields.dst) else {
            return;
        };
        // Sent the other way; ports and protocol are those of what it would answer.
        let Some(error) = error_about(&probe.frame, src, dst) else {
            return;
        };
        let context = Context::arriving(engine.context(probe).interface);
        let expected = lets_in_invoking(ruleset, &error, &context);
        let image = engine.image().bytes();
        let found = walker::lets_in_invoking(image, &error, probe.context.interface);
        assert_eq!(found, expected, "{}: {fields:?}", probe.hex());
        related += usize::from(found);
        invalid += usize::from(!found);
    });
    assert!(related > 500 && invalid > 500, "{related} {invalid}");
}

/// An error about the IP packet of an untagged frame, of which it quotes 8 bytes after the IP header.
fn error_about(frame: &[u8], src: IpAddr, dst: IpAddr) -> Option<Vec<u8>> {
    let error = Packet::ip(dst, src)?;
    let (error, quoted) = match frame.get(12..14)? {
        [0x08, 0x00] => (error.icmp(3, 1), 20 + 8),
        [0x86, 0xdd] => (error.icmpv6(1, 0), 40 + 8),
        _ => return None,
    };
    let quoted = frame.get(14..14 + quoted)?;
    Some(error.payload(quoted).build())
}
