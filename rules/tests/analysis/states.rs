//! States of packets: which a packet can have, and what rules that ask for them leave to others.

use rules::{
    analysis::{Budget, Compare, diff, possible_states},
    evaluator::decode,
    field::{State, StateSet},
    model::{RuleId, Verdict},
    notation,
};

use crate::{
    canonical::load,
    dropping::{ruleset, unreached_of},
    frames::frame,
};

/// Whether packets with these fields and of this state exist.
fn can_be(fields: &str, state: State) -> bool {
    let rule = format!("{fields}\nstate = \"{}\"", state.as_str());
    unreached_of(&[&rule]).is_empty()
}

const NEW: &str = "state = \"new\"";
const ESTABLISHED: &str = "state = \"established\"";
const OTHERS: &str = "state = [\"established\", \"related\", \"invalid\"]";

#[test]
fn a_rule_for_a_state_is_shadowed_by_one_for_all() {
    let tcp = "proto = \"tcp\"\ndport = 22";
    let later = format!("{tcp}\n{ESTABLISHED}");
    assert_eq!(unreached_of(&[tcp, &later]), [(1, vec![RuleId(0)])]);
    assert_eq!(unreached_of(&[&later, tcp]), []);
    // Segments with other flags are invalid.
    assert_eq!(unreached_of(&[ESTABLISHED, NEW, tcp]), []);
    assert_eq!(
        unreached_of(&[ESTABLISHED, NEW, "tcp_flags = \"syn,!ack,!fin,!rst\""]),
        [(2, vec![RuleId(0), RuleId(1)])]
    );
}

#[test]
fn rules_for_all_states_leave_only_what_is_not_ip() {
    assert_eq!(
        unreached_of(&[NEW, OTHERS, "proto = \"udp\"", "family = \"ipv6\""]),
        [
            (2, vec![RuleId(0), RuleId(1)]),
            (3, vec![RuleId(0), RuleId(1)])
        ]
    );
    assert_eq!(
        unreached_of(&[NEW, OTHERS, "", "ethertype = \"lldp\""]),
        [(3, vec![RuleId(2)])]
    );
    assert_eq!(
        unreached_of(&["state = \"!new\"", OTHERS]),
        [(1, vec![RuleId(0)])]
    );
}

#[test]
fn a_segment_is_invalid_by_its_flags_alone() {
    /// `tcp_valid_flags` of Linux: FIN is 1, SYN 2, RST 4, ACK 16, URG 32.
    const VALID: [u8; 9] = [2, 34, 18, 4, 20, 17, 49, 16, 48];
    for flags in 0..=u8::MAX {
        let frame = notation::read(&format!("tcp 192.0.2.1:1 > 192.0.2.2:2 {}", words(flags)));
        let fields = decode(&frame.unwrap().frame).unwrap();
        assert_eq!(fields.tcp_flags, Some(flags));
        // PSH, ECE and CWR say nothing.
        let is_valid = VALID.contains(&(flags & 0b0011_0111));
        let expected: StateSet = match is_valid {
            true => [State::New, State::Established].into_iter().collect(),
            false => [State::Invalid].into_iter().collect(),
        };
        assert_eq!(possible_states(&fields), expected, "{flags:#x}");
    }
    for (flags, state, exists) in [
        ("syn,!ack,!fin,!rst", State::New, true),
        ("syn,!ack,!fin,!rst", State::Invalid, false),
        ("syn,fin", State::Invalid, true),
        ("syn,fin", State::Established, false),
        ("syn", State::Related, false),
        ("!ack,!syn,!rst", State::New, false),
        ("ack", State::Established, true),
    ] {
        let fields = format!("tcp_flags = \"{flags}\"");
        assert_eq!(can_be(&fields, state), exists, "{flags} {state:?}");
    }
}

/// TCP flags in the notation.
fn words(flags: u8) -> String {
    let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    let set = names.iter().enumerate();
    let set = set.filter(|(bit, _)| flags >> bit & 1 == 1);
    let set: Vec<&str> = set.map(|(_, name)| *name).collect();
    if set.is_empty() {
        "null".to_owned()
    } else {
        set.join(",")
    }
}

#[test]
fn other_packets_have_the_states_of_their_kind() {
    use State::{Established, Invalid, New, Related};
    let errors = "[\"destination-unreachable\", \"time-exceeded\", \"parameter-problem\"]";
    let errors = format!("icmp_type = {errors}");
    let echoes = "icmp_type = [\"echo-request\", \"echo-reply\"]";
    for (fields, states) in [
        ("proto = \"udp\"\nfragment = false", &[New, Established][..]),
        ("proto = \"gre\"\nfragment = false", &[New, Established]),
        ("proto = \"sctp\"\ndport = 80", &[New, Established]),
        (errors.as_str(), &[Related, Invalid]),
        (
            "proto = \"icmp\"\nicmp_type = \"redirect\"",
            &[Related, Invalid],
        ),
        // That of ICMPv6 is about the link.
        ("proto = \"icmpv6\"\nicmp_type = \"redirect\"", &[New]),
        (
            "proto = \"icmpv6\"\nicmp_type = \"packet-too-big\"",
            &[Related, Invalid],
        ),
        (echoes, &[New, Established]),
        ("icmp_type = \"neighbor-solicitation\"", &[New]),
        ("icmp_type = \"router-advertisement\"", &[New]),
        ("proto = \"icmp\"\nicmp_type = 13", &[New]),
        ("proto = \"igmp\"\nfragment = false", &[New, Established]),
        // First fragments of TCP, and later ones.
        (
            "proto = \"tcp\"\nfragment = true",
            &[New, Established, Related, Invalid],
        ),
        (
            "proto = \"gre\"\nfragment = true",
            &[New, Established, Related],
        ),
        (
            "proto = \"icmp\"\nicmp_type = 8\nfragment = true",
            &[New, Established],
        ),
    ] {
        for state in State::ALL {
            let expected = states.contains(&state);
            assert_eq!(can_be(fields, state), expected, "{fields} {state:?}");
        }
    }
}

#[test]
fn a_change_is_shown_by_a_packet_with_its_state() {
    let old = ruleset(&["proto = \"udp\""]);
    let new = ruleset(&["proto = \"udp\"\nstate = \"new\""]);
    let found = diff(&old, &new, Compare::Verdicts, &mut Budget::default()).unwrap();
    assert!(found.undecided.is_empty());
    assert!(!found.changes.is_empty());
    for change in &found.changes {
        assert_eq!((change.old.1, change.new.1), (Verdict::Drop, Verdict::Pass));
        for area in &change.areas {
            let state = area.witness.state().unwrap();
            assert!(
                matches!(state, State::Established | State::Related),
                "{state:?}"
            );
            let fields = decode(&frame(&area.witness)).unwrap();
            assert!(possible_states(&fields).has(state));
            assert!(found.holds(&old, &new, &fields, &area.witness.named()));
            let of_new = area.witness.named().in_state(State::New);
            assert!(!found.holds(&old, &new, &fields, &of_new));
        }
    }
}

#[test]
fn rules_for_each_state_are_the_same_as_one_without() {
    let rest = "dport = 80";
    let one = ruleset(&[rest]);
    let states = State::ALL.map(|state| format!("{rest}\nstate = \"{}\"", state.as_str()));
    let states: Vec<&str> = states.iter().map(String::as_str).collect();
    let each = ruleset(&states);
    let found = diff(&one, &each, Compare::Verdicts, &mut Budget::default()).unwrap();
    assert!(found.changes.is_empty() && found.undecided.is_empty());
    // Ports are in packets that are related to nothing.
    let fewer = ruleset(&[states[0], states[1], states[3]]);
    let found = diff(&each, &fewer, Compare::Verdicts, &mut Budget::default()).unwrap();
    assert!(found.changes.is_empty() && found.undecided.is_empty());
    let fewer = ruleset(&states[..2]);
    let found = diff(&each, &fewer, Compare::Verdicts, &mut Budget::default()).unwrap();
    assert_eq!(found.changes.len(), 1);
    let area = &found.changes[0].areas[0];
    let of_state = area.fields.iter().find(|of| of.field == "state");
    // All of these segments are invalid.
    assert!(area.witness.state() == Some(State::Invalid), "{of_state:?}");
}

#[test]
fn packets_out_have_one_state() {
    let text = "[firewall]\ninterfaces = [\"eth0\"]\n\
        [[rule]]\nname = \"in\"\naction = \"drop\"\nstate = \"established\"\n\
        [[rule]]\nname = \"out\"\naction = \"drop\"\ndirection = \"out\"\nproto = \"tcp\"\n";
    let old = load(text);
    let new = load(&text.replace("\"tcp\"", "\"udp\""));
    let found = diff(&old, &new, Compare::Verdicts, &mut Budget::default()).unwrap();
    let areas = || found.changes.iter().flat_map(|change| &change.areas);
    assert!(areas().count() > 0);
    for area in areas() {
        assert_eq!(area.witness.state(), None);
        assert!(area.fields.iter().all(|of| of.field != "state"));
    }
}
