//! Sections by the state of packets: each distinct set of rules is compiled once.

use std::sync::Arc;

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
    evaluator::{Fields, decode, matches},
    field::{Family, MAX_DSCP, MAX_MAC, MAX_VLAN, RangeSet, State, Value},
    load,
    model::{Matches, Rule, RuleAction, Ruleset},
};
use rules_testing::{Engine, Random, Setting, Shape, ask_for_states, probe};

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

/// The conditions without sets of all values.
fn without_all(wanted: &Matches) -> Matches {
    fn less<T: Value>(set: &Option<RangeSet<T>>, last: T) -> Option<RangeSet<T>> {
        set.clone().filter(|set| !set.covers(T::MIN, last))
    }
    let tags = wanted.vlan.clone();
    Matches {
        length: less(&wanted.length, u16::MAX),
        ttl: less(&wanted.ttl, u8::MAX),
        dscp: less(&wanted.dscp, MAX_DSCP),
        src_mac: less(&wanted.src_mac, MAX_MAC),
        dst_mac: less(&wanted.dst_mac, MAX_MAC),
        vlan: tags.filter(|tags| !tags.untagged || !tags.ids.covers(0, MAX_VLAN)),
        ..wanted.clone()
    }
}

/// What a rule says of a packet of which only this is known; `None` if nothing.
fn says(rule: &Rule, fields: &Fields, context: &Context<Option<&str>>) -> Option<bool> {
    let wanted = &rule.matches;
    let known = Matches {
        interface: wanted.interface.clone(),
        family: wanted.family,
        ethertype: wanted.ethertype.clone(),
        src: wanted.src.clone(),
        dst: wanted.dst.clone(),
        proto: wanted.proto.clone(),
        sport: wanted.sport.clone(),
        dport: wanted.dport.clone(),
        tcp_flags: wanted.tcp_flags.clone(),
        icmp: wanted.icmp.clone(),
        state: wanted.state,
        ..Matches::default()
    };
    let never = [
        wanted.length.as_ref().map(RangeSet::is_empty),
        wanted.ttl.as_ref().map(RangeSet::is_empty),
        wanted.dscp.as_ref().map(RangeSet::is_empty),
        wanted.ip_option.as_ref().map(RangeSet::is_empty),
        wanted.src_mac.as_ref().map(RangeSet::is_empty),
        wanted.dst_mac.as_ref().map(RangeSet::is_empty),
        wanted
            .vlan
            .as_ref()
            .map(|tags| !tags.untagged && tags.ids.is_empty()),
    ];
    if never.contains(&Some(true)) {
        return None;
    }
    // Only IPv4 packets have options.
    let fits = matches(&known, fields, context)
        && (wanted.ip_option.is_none() || fields.family == Some(Family::Ipv4));
    match rule.action {
        RuleAction::Pass => fits.then_some(true),
        RuleAction::Drop => (fits && without_all(wanted) == known).then_some(false),
        RuleAction::Count => None,
    }
}

#[test]
fn what_packets_out_answer_is_judged_by_what_is_known_of_it() {
    let mut seeds = Random::new(0xa5);
    let (mut passed, mut dropped) = (0, 0);
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
                let probe = probe(random, &ruleset);
                let (Ok(headers), Ok(fields)) = (parse(&probe.frame[..]), decode(&probe.frame))
                else {
                    continue;
                };
                if fields.family.is_none() || fields.is_fragment == Some(true) {
                    continue;
                }
                let context = engine.context(&probe);
                let context = Context::arriving(context.interface);
                let rules = ruleset.rules.iter();
                let rules = rules.filter(|rule| rule.direction == Direction::In);
                let expected = rules
                    .filter_map(|rule| says(rule, &fields, &context))
                    .next();
                let hook = Answered(probe.context.interface);
                let found = classify(
                    engine.image().bytes(),
                    &probe.frame[..],
                    &headers,
                    &hook,
                    &mut Uncounted,
                );
                let found = match found {
                    Classification::Pass(_) => Some(true),
                    Classification::Drop(_) => Some(false),
                    Classification::NoRule(_) => None,
                };
                let of_rule = ruleset.rules.iter().find(|rule| {
                    rule.direction == Direction::In && says(rule, &fields, &context).is_some()
                });
                assert_eq!(found, expected, "{}: {fields:?} {of_rule:?}", probe.hex());
                passed += usize::from(found == Some(true));
                dropped += usize::from(found == Some(false));
            }
        }
    }
    assert!(passed > 500 && dropped > 20, "{passed} {dropped}");
}
