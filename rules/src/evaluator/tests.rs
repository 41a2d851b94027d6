//! Tests of the evaluator.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
};

use firewall_ebpf::abi::Reason;

use crate::{
    context::Context,
    evaluator::{
        decode::Fields,
        evaluate::{classify, evaluate},
        mismatch::matches,
        outcome::{Evaluation, Outcome},
    },
    field::{AddressSet, Family, IcmpSet, InterfaceMatch, InterfacePattern, RangeSet, VlanSet},
    model::{
        Direction, Flows, Matches, Mode, Parser, Place, ReasonLogs, Rule, RuleAction, RuleId,
        Ruleset, Settings, Verdict,
    },
};

const NOWHERE: Context<Option<&str>> = Context::arriving(None);

fn on(interface: &str) -> Context<Option<&str>> {
    Context::arriving(Some(interface))
}

fn ruleset(policy: Verdict, rules: &[(RuleAction, Matches)]) -> Ruleset {
    let rules = (1..).zip(rules).map(|(line, (action, matches))| Rule {
        name: format!("rule {line}"),
        direction: Direction::In,
        action: *action,
        matches: matches.clone(),
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
            policy,
            policy_out: Verdict::Pass,
            parser: Parser::with_policy(policy),
            flows: Flows::default(),
            logs: ReasonLogs::default(),
        },
        rules: rules.collect(),
        disabled: Vec::new(),
    }
}

fn only<T: crate::field::Value>(value: T) -> RangeSet<T> {
    RangeSet::from_ranges(vec![(value, value)])
}

/// 192.0.2.1 port 4242 to 198.51.100.2 port 22, SYN.
fn ssh() -> Fields {
    Fields {
        ethertype: 0x0800,
        dst_mac: 0x0200_0000_0002,
        src_mac: 0x0200_0000_0001,
        vlan: None,
        length: Some(40),
        dscp: Some(46),
        family: Some(Family::Ipv4),
        src: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        dst: Some(Ipv4Addr::new(198, 51, 100, 2).into()),
        protocol: Some(6),
        sport: Some(4242),
        dport: Some(22),
        tcp_flags: Some(2),
        hop_limit: Some(64),
        is_fragment: Some(false),
        is_group_query: false,
        icmp: None,
        ip_options: Vec::new(),
    }
}

fn icmpv6(icmp_type: u8) -> Fields {
    Fields {
        ethertype: 0x86dd,
        family: Some(Family::Ipv6),
        src: Some(Ipv6Addr::LOCALHOST.into()),
        dst: Some(Ipv6Addr::LOCALHOST.into()),
        protocol: Some(58),
        length: Some(48),
        dscp: Some(0),
        hop_limit: Some(255),
        is_fragment: Some(false),
        icmp: Some(u16::from(icmp_type) << 8),
        ..Fields::default()
    }
}

fn ethertype(ethertype: u16) -> Fields {
    Fields {
        ethertype,
        ..Fields::default()
    }
}

fn decided(ruleset: &Ruleset, fields: &Fields) -> (Outcome, Verdict, Vec<u32>) {
    let evaluation = classify(ruleset, fields, &on("eth0"));
    let counted = evaluation.counted.iter().map(|id| id.0).collect();
    (evaluation.outcome, evaluation.verdict, counted)
}

#[test]
fn the_first_match_wins_and_counts_before_it_are_kept() {
    let port = |port| Matches {
        dport: Some(only(port)),
        ..Matches::default()
    };
    let rules = ruleset(
        Verdict::Drop,
        &[
            (RuleAction::Count, port(22)),
            (RuleAction::Count, port(23)),
            (RuleAction::Drop, port(23)),
            (RuleAction::Count, Matches::default()),
            (RuleAction::Pass, port(22)),
            (RuleAction::Drop, port(22)),
            (RuleAction::Count, Matches::default()),
        ],
    );
    let rule = Outcome::Rule(RuleId(4));
    assert_eq!(decided(&rules, &ssh()), (rule, Verdict::Pass, vec![0, 3]));
    let policy = Outcome::Reason(Reason::Policy);
    let counted = vec![3, 6];
    assert_eq!(
        decided(&rules, &icmpv6(128)),
        (policy, Verdict::Drop, counted)
    );
}

#[test]
fn only_packets_without_which_there_is_no_neighbor_escape_the_policy() {
    let rules = ruleset(Verdict::Drop, &[]);
    let neighbor = (Outcome::Reason(Reason::Neighbor), Verdict::Pass, Vec::new());
    let policy = (Outcome::Reason(Reason::Policy), Verdict::Drop, Vec::new());
    assert_eq!(decided(&rules, &ethertype(0x0806)), neighbor);
    let link_local = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    for icmp_type in 0..=u8::MAX {
        for (hop_limit, src) in [
            (255, None),
            (255, Some(link_local)),
            (1, Some(link_local)),
            (1, None),
        ] {
            let message = icmpv6(icmp_type);
            let message = Fields {
                hop_limit: Some(hop_limit),
                src: src.or(message.src),
                ..message
            };
            let expected = match (icmp_type, hop_limit) {
                (133..=137, 255) => &neighbor,
                (130, 1) if src.is_some() => &neighbor,
                (_, _) => &policy,
            };
            assert_eq!(decided(&rules, &message), *expected, "{message:?}");
            let fragment = Fields {
                is_fragment: Some(true),
                ..message
            };
            assert_eq!(decided(&rules, &fragment), policy);
        }
    }
    let over_ipv4 = Fields {
        icmp: Some(0x8700),
        hop_limit: Some(255),
        ..ssh()
    };
    assert_eq!(decided(&rules, &over_ipv4), policy);
}

#[test]
fn a_group_query_to_its_link_escapes_the_policy_and_nothing_else_of_igmp_does() {
    let rules = ruleset(Verdict::Drop, &[]);
    let query = "0800 46c0 0020 0000 0000 0102 0000 c0000202 e0000001 94040000 1164ee9b00000000";
    let whole = format!("01005e000001 020000000001 {query}");
    let reason = |text: &str| {
        let frame = crate::text::hexadecimal::bytes(text).unwrap();
        let Evaluation {
            outcome, verdict, ..
        } = evaluate(&rules, &frame, &NOWHERE);
        (outcome, verdict == Verdict::Pass)
    };
    let neighbor = (Outcome::Reason(Reason::Neighbor), true);
    let policy = (Outcome::Reason(Reason::Policy), false);
    assert_eq!(reason(&whole), neighbor);
    for (what, was, is) in [
        ("a report", "1164ee9b", "1600ee9b"),
        ("a forwarded one", "0000 0102", "0000 0202"),
        ("one to a host", "e0000001", "c0000201"),
        ("a first fragment", "0000 0000 0102", "0000 2000 0102"),
        ("a short one", "46c0 0020", "46c0 001f"),
        ("another protocol", "0102 0000", "0103 0000"),
    ] {
        assert_eq!(whole.matches(was).count(), 1, "{what}");
        assert_eq!(reason(&whole.replace(was, is)), policy, "{what}");
    }
}

#[test]
fn rules_come_before_the_exception_for_neighbors() {
    let rules = ruleset(Verdict::Pass, &[(RuleAction::Drop, Matches::default())]);
    let dropped = (Outcome::Rule(RuleId(0)), Verdict::Drop, Vec::new());
    for fields in [ethertype(0x0806), icmpv6(135), ethertype(0x88cc), ssh()] {
        assert_eq!(decided(&rules, &fields), dropped);
    }
}

/// A parser that drops everything and one that passes everything, except for the class that `set`
/// names.
fn parsers(set: impl Fn(&mut Parser) -> &mut Verdict) -> [(Parser, Verdict); 2] {
    let one = |others, own| {
        let mut parser = Parser {
            malformed: others,
            truncated: others,
            too_many_headers: others,
            too_many_tags: others,
            unknown_ethertype: others,
        };
        *set(&mut parser) = own;
        (parser, own)
    };
    [
        one(Verdict::Drop, Verdict::Pass),
        one(Verdict::Pass, Verdict::Drop),
    ]
}

#[test]
fn frames_that_are_not_well_formed_have_the_verdict_of_their_class_before_any_rule() {
    let mut rules = ruleset(Verdict::Pass, &[(RuleAction::Count, Matches::default())]);
    let behind_macs = |bytes: &[u8]| [&[0; 12], bytes].concat();
    let ipv6 = [&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 72, 0, 64][..], &[0; 104]].concat();
    let cases = [
        (
            Reason::Malformed,
            behind_macs(&[[8, 0].as_slice(), &[0; 20]].concat()),
            parsers(|parser| &mut parser.malformed),
        ),
        (
            Reason::Truncated,
            vec![0; 13],
            parsers(|parser| &mut parser.truncated),
        ),
        (
            Reason::TooManyHeaders,
            behind_macs(&ipv6),
            parsers(|parser| &mut parser.too_many_headers),
        ),
        (
            Reason::TooManyTags,
            behind_macs(&[0x81, 0, 0, 1].repeat(5)),
            parsers(|parser| &mut parser.too_many_tags),
        ),
    ];
    for (reason, frame, parsers) in cases {
        for (parser, verdict) in parsers {
            rules.settings.parser = parser;
            let expected = Evaluation {
                outcome: Outcome::Reason(reason),
                verdict,
                counted: Vec::new(),
            };
            assert_eq!(evaluate(&rules, &frame, &NOWHERE), expected);
        }
    }
}

#[test]
fn other_ethertypes_have_a_verdict_of_their_own_behind_the_rules() {
    let lldp = Matches {
        ethertype: Some(only(0x88cc)),
        ..Matches::default()
    };
    let everything = Matches::default();
    let rules = &[(RuleAction::Pass, lldp), (RuleAction::Count, everything)];
    let mut rules = ruleset(Verdict::Pass, rules);
    for (parser, verdict) in parsers(|parser| &mut parser.unknown_ethertype) {
        rules.settings.parser = parser;
        let unknown = Outcome::Reason(Reason::UnknownEthertype);
        // The least and the most length of IEEE 802.3, and what is no EtherType either.
        for number in [0, 1500, 1535, 0x8035, 0xffff] {
            let decided = decided(&rules, &ethertype(number));
            assert_eq!(decided, (unknown, verdict, vec![1]));
        }
        let rule = Outcome::Rule(RuleId(0));
        let decided = decided(&rules, &ethertype(0x88cc));
        assert_eq!(decided, (rule, Verdict::Pass, Vec::new()));
    }
}

#[test]
fn a_field_that_is_given_does_not_match_a_packet_that_lacks_it() {
    let addresses = || {
        Some(Arc::new(AddressSet {
            v4: RangeSet::full(),
            v6: RangeSet::full(),
        }))
    };
    let all = Matches::default;
    let given = [
        Matches {
            interface: Some(InterfaceMatch::default()),
            ..all()
        },
        Matches {
            family: Some(Family::Ipv4),
            ..all()
        },
        Matches {
            src: addresses(),
            ..all()
        },
        Matches {
            dst: addresses(),
            ..all()
        },
        Matches {
            proto: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            sport: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            dport: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            tcp_flags: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            icmp: Some(IcmpSet {
                v4: RangeSet::full(),
                v6: RangeSet::full(),
            }),
            ..all()
        },
        Matches {
            length: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            ttl: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            dscp: Some(RangeSet::full()),
            ..all()
        },
        Matches {
            fragment: Some(false),
            ..all()
        },
    ];
    let other = ethertype(0x88cc);
    for wanted in &given {
        assert!(!matches(wanted, &other, &NOWHERE), "{wanted:?}");
    }
    assert!(matches(&all(), &other, &NOWHERE));
    assert!(matches(&given[0], &other, &on("eth0")));
    let fitting = |fields: &Fields| {
        given
            .each_ref()
            .map(|wanted| matches(wanted, fields, &NOWHERE))
    };
    let [
        _,
        v4,
        src,
        dst,
        proto,
        sport,
        dport,
        flags,
        icmp,
        of_ip @ ..,
    ] = fitting(&ssh());
    assert!(v4 && src && dst && proto && sport && dport && flags && !icmp);
    assert_eq!(of_ip, [true; 4]);
    let [
        _,
        v4,
        src,
        dst,
        proto,
        sport,
        dport,
        flags,
        icmp,
        of_ip @ ..,
    ] = fitting(&icmpv6(1));
    assert!(!v4 && src && dst && proto && !sport && !dport && !flags && icmp);
    assert_eq!(of_ip, [true; 4]);
}

#[test]
fn tags_match_by_their_outermost_identifier_and_their_absence_by_name() {
    let vlan = |untagged, ids: Vec<(u16, u16)>| Matches {
        vlan: Some(VlanSet {
            untagged,
            ids: RangeSet::from_ranges(ids),
        }),
        ..Matches::default()
    };
    let tagged = |id| Fields {
        vlan: Some(id),
        ..ssh()
    };
    let all_but_five = vlan(false, vec![(0, 4), (6, 4095)]);
    assert!(!matches(&all_but_five, &ssh(), &NOWHERE));
    assert!(!matches(&all_but_five, &tagged(5), &NOWHERE));
    assert!(matches(&all_but_five, &tagged(0), &NOWHERE));
    assert!(matches(&vlan(true, Vec::new()), &ssh(), &NOWHERE));
    assert!(!matches(&vlan(true, Vec::new()), &tagged(0), &NOWHERE));
}

#[test]
fn the_largest_length_stands_for_all_that_are_larger() {
    let length = |first| Matches {
        length: Some(RangeSet::from_ranges(vec![(first, u16::MAX)])),
        ..Matches::default()
    };
    let long = |length| Fields {
        length: Some(length),
        ..icmpv6(128)
    };
    assert!(matches(&length(u16::MAX), &long(65_575), &NOWHERE));
    assert!(matches(&length(u16::MAX), &long(65_535), &NOWHERE));
    assert!(!matches(&length(u16::MAX), &long(65_534), &NOWHERE));
    assert!(!matches(&length(41), &long(40), &NOWHERE));
}

#[test]
fn each_family_is_looked_up_in_its_own_part_of_a_set() {
    let loopback = Matches {
        src: Some(Arc::new(AddressSet {
            v4: only(1),
            v6: only(u128::from(Ipv6Addr::LOCALHOST)),
        })),
        ..Matches::default()
    };
    assert!(matches(&loopback, &icmpv6(1), &NOWHERE));
    let mapped = Fields {
        src: Some(Ipv4Addr::new(0, 0, 0, 1).into()),
        ..ssh()
    };
    assert!(matches(&loopback, &mapped, &NOWHERE));
    assert!(!matches(&loopback, &ssh(), &NOWHERE));
    let message = Matches {
        icmp: Some(IcmpSet {
            v4: RangeSet::full(),
            v6: only(0x0100),
        }),
        ..Matches::default()
    };
    assert!(matches(&message, &icmpv6(1), &NOWHERE));
    assert!(!matches(&message, &icmpv6(2), &NOWHERE));
}

#[test]
fn interfaces_match_by_name() {
    let wanted = Matches {
        interface: Some(InterfaceMatch {
            positives: Vec::new(),
            negatives: InterfacePattern::parse("eth*").into_iter().collect(),
        }),
        ..Matches::default()
    };
    assert!(matches(&wanted, &ssh(), &on("lo")));
    assert!(!matches(&wanted, &ssh(), &on("eth0")));
    assert!(!matches(&wanted, &ssh(), &NOWHERE));
}
