//! The naive reference evaluator: the meaning of a rule set, spelled out as a scan over its rules.
//!
//! This module owns what the right verdict is. Every other path from a packet to a verdict is
//! tested against it, so that it must know nothing of images, walkers and the packet parser, and
//! prefers the plain way over the fast one throughout.

mod decode;

use std::net::IpAddr;

use firewall_ebpf::abi::Reason;

pub use self::decode::{Fields, decode};
use crate::{
    FieldName,
    ranges::RangeSet,
    ruleset::{
        AddressSet, Family, IcmpSet, Matches, Parser, Policy, RuleId, Ruleset, Verdict, VlanSet,
    },
};

/// What becomes of a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What decided.
    pub outcome: Outcome,
    /// What was decided.
    pub action: Action,
    /// The `count` rules that matched before the decision, in order of precedence.
    pub counted: Vec<RuleId>,
}

/// What decided over a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first matching rule that does not only count.
    Rule(RuleId),
    /// No rule: the packet reached the end of the rules, or none was looked at.
    Reason(Reason),
}

/// What is done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is handed to the kernel.
    Pass,
    /// It is dropped.
    Drop,
}

impl From<Policy> for Action {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Pass => Self::Pass,
            Policy::Drop => Self::Drop,
        }
    }
}

/// Evaluates a frame, from the Ethernet header on, that arrived on the interface of this name.
///
/// Without a name the interface is one that the rule set was not compiled for, and no rule that
/// gives an interface matches.
#[must_use]
pub fn evaluate(ruleset: &Ruleset, frame: &[u8], interface: Option<&str>) -> Evaluation {
    match decode(frame) {
        Ok(fields) => judge(ruleset, &fields, interface),
        Err(reason) => Evaluation {
            outcome: Outcome::Reason(reason),
            action: of_unreadable(&ruleset.settings.parser, reason),
            counted: Vec::new(),
        },
    }
}

/// What is done with a frame that could not be decoded.
fn of_unreadable(parser: &Parser, reason: Reason) -> Action {
    match reason {
        Reason::Malformed => parser.malformed.into(),
        Reason::Truncated => parser.truncated.into(),
        Reason::TooManyHeaders => parser.too_many_headers.into(),
        Reason::TooManyTags => parser.too_many_tags.into(),
        // No fault of a frame.
        Reason::Policy
        | Reason::Neighbour
        | Reason::NoImage
        | Reason::BadImage
        | Reason::UnknownEthertype
        | Reason::Banned => Action::Drop,
    }
}

/// Evaluates the fields of a well-formed frame, like [`evaluate`].
#[must_use]
pub fn judge(ruleset: &Ruleset, fields: &Fields, interface: Option<&str>) -> Evaluation {
    let mut counted = Vec::new();
    for (id, rule) in ruleset.iter() {
        if !matches(&rule.matches, fields, interface) {
            continue;
        }
        let action = match rule.verdict {
            Verdict::Pass => Action::Pass,
            Verdict::Drop => Action::Drop,
            Verdict::Count => {
                counted.push(id);
                continue;
            }
        };
        return Evaluation {
            outcome: Outcome::Rule(id),
            action,
            counted,
        };
    }
    let settings = &ruleset.settings;
    let (reason, action) = if is_neighbour(fields) {
        (Reason::Neighbour, Action::Pass)
    } else if fields.family.is_none() {
        let verdict = settings.parser.unknown_ethertype;
        (Reason::UnknownEthertype, verdict.into())
    } else {
        (Reason::Policy, settings.policy.into())
    };
    Evaluation {
        outcome: Outcome::Reason(reason),
        action,
        counted,
    }
}

/// Whether a packet with these fields matches: every field that is given must be there and fit.
#[must_use]
pub fn matches(wanted: &Matches, fields: &Fields, interface: Option<&str>) -> bool {
    mismatch(wanted, fields, interface).is_none()
}

/// The first field that does not match a packet with these fields; `None` when all do.
#[must_use]
pub fn mismatch(wanted: &Matches, fields: &Fields, interface: Option<&str>) -> Option<FieldName> {
    let Matches {
        interface: wanted_interface,
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
        fragment,
    } = wanted;
    let field = if !fits(wanted_interface, interface, |wanted, name| {
        wanted.matches(name)
    }) {
        FieldName::Interface
    } else if !fits(family, fields.family, |wanted, family| *wanted == family) {
        FieldName::Family
    } else if !fits(src, fields.src, |set, address| holds(set, address)) {
        FieldName::Src
    } else if !fits(dst, fields.dst, |set, address| holds(set, address)) {
        FieldName::Dst
    } else if !fits(proto, fields.protocol, RangeSet::contains) {
        FieldName::Proto
    } else if !fits(sport, fields.sport, RangeSet::contains) {
        FieldName::Sport
    } else if !fits(dport, fields.dport, RangeSet::contains) {
        FieldName::Dport
    } else if !fits(tcp_flags, fields.tcp_flags, RangeSet::contains) {
        FieldName::TcpFlags
    } else if !fits(icmp, fields.icmp.zip(fields.family), holds_icmp) {
        FieldName::IcmpType
    } else if !fits(ethertype, Some(fields.ethertype), RangeSet::contains) {
        FieldName::Ethertype
    } else if !fits(vlan, Some(fields.vlan), holds_vlan) {
        FieldName::Vlan
    } else if !fits(src_mac, Some(fields.src_mac), RangeSet::contains) {
        FieldName::SrcMac
    } else if !fits(dst_mac, Some(fields.dst_mac), RangeSet::contains) {
        FieldName::DstMac
    } else if !fits(length, fields.length, holds_length) {
        FieldName::Length
    } else if !fits(ttl, fields.hop_limit, RangeSet::contains) {
        FieldName::Ttl
    } else if !fits(dscp, fields.dscp, RangeSet::contains) {
        FieldName::Dscp
    } else if !fits(fragment, fields.is_fragment, |wanted, is| *wanted == is) {
        FieldName::Fragment
    } else {
        return None;
    };
    Some(field)
}

/// Whether a field is open, or is there and passes the test.
fn fits<W, V>(wanted: &Option<W>, value: Option<V>, test: impl Fn(&W, V) -> bool) -> bool {
    match (wanted, value) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(value)) => test(wanted, value),
    }
}

fn holds(set: &AddressSet, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => set.v4.contains(u32::from(address)),
        IpAddr::V6(address) => set.v6.contains(u128::from(address)),
    }
}

fn holds_icmp(set: &IcmpSet, (message, family): (u16, Family)) -> bool {
    match family {
        Family::Ipv4 => set.v4.contains(message),
        Family::Ipv6 => set.v6.contains(message),
    }
}

/// That a frame has no tag is something to be matched, too.
fn holds_vlan(set: &VlanSet, vlan: Option<u16>) -> bool {
    match vlan {
        Some(id) => set.ids.contains(id),
        None => set.untagged,
    }
}

/// The largest number that a rule can give stands for all that are larger.
fn holds_length(set: &RangeSet<u16>, length: u32) -> bool {
    set.contains(u16::try_from(length).unwrap_or(u16::MAX))
}

/// Address resolution; the five messages of neighbour discovery, whole and from this link (RFC
/// 4861, section 4; RFC 6980); multicast listener queries from this link (RFC 2710).
fn is_neighbour(fields: &Fields) -> bool {
    const ARP: u16 = 0x0806;
    let whole = fields.is_fragment == Some(false);
    match (fields.family, fields.src, fields.icmp) {
        (None, _, _) => fields.ethertype == ARP,
        (Some(Family::Ipv6), Some(IpAddr::V6(src)), Some(message)) if whole => {
            match (message.to_be_bytes(), fields.hop_limit) {
                ([130, _], Some(1)) => src.is_unicast_link_local(),
                ([133..=137, _], Some(255)) => true,
                (_, _) => false,
            }
        }
        (Some(_), _, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        num::NonZeroU32,
        sync::Arc,
    };

    use super::*;
    use crate::ruleset::{InterfaceMatch, InterfacePattern, Mode, Place, Rule, Settings};

    fn ruleset(policy: Policy, rules: &[(Verdict, Matches)]) -> Ruleset {
        let rules = (1..).zip(rules).map(|(line, (verdict, matches))| Rule {
            name: format!("rule {line}"),
            verdict: *verdict,
            matches: matches.clone(),
            log: None,
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
                parser: Parser::with_policy(policy),
            },
            rules: rules.collect(),
        }
    }

    fn only<T: crate::ranges::Value>(value: T) -> RangeSet<T> {
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
            icmp: None,
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

    fn decided(ruleset: &Ruleset, fields: &Fields) -> (Outcome, Action, Vec<u32>) {
        let evaluation = judge(ruleset, fields, Some("eth0"));
        let counted = evaluation.counted.iter().map(|id| id.0).collect();
        (evaluation.outcome, evaluation.action, counted)
    }

    #[test]
    fn the_first_match_wins_and_counts_before_it_are_kept() {
        let port = |port| Matches {
            dport: Some(only(port)),
            ..Matches::default()
        };
        let rules = ruleset(
            Policy::Drop,
            &[
                (Verdict::Count, port(22)),
                (Verdict::Count, port(23)),
                (Verdict::Drop, port(23)),
                (Verdict::Count, Matches::default()),
                (Verdict::Pass, port(22)),
                (Verdict::Drop, port(22)),
                (Verdict::Count, Matches::default()),
            ],
        );
        let rule = Outcome::Rule(RuleId(4));
        assert_eq!(decided(&rules, &ssh()), (rule, Action::Pass, vec![0, 3]));
        let policy = Outcome::Reason(Reason::Policy);
        let counted = vec![3, 6];
        assert_eq!(
            decided(&rules, &icmpv6(128)),
            (policy, Action::Drop, counted)
        );
    }

    #[test]
    fn only_packets_without_which_there_is_no_neighbour_escape_the_policy() {
        let rules = ruleset(Policy::Drop, &[]);
        let neighbour = (Outcome::Reason(Reason::Neighbour), Action::Pass, Vec::new());
        let policy = (Outcome::Reason(Reason::Policy), Action::Drop, Vec::new());
        assert_eq!(decided(&rules, &ethertype(0x0806)), neighbour);
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
                    (133..=137, 255) => &neighbour,
                    (130, 1) if src.is_some() => &neighbour,
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
    fn rules_come_before_the_exception_for_neighbours() {
        let rules = ruleset(Policy::Pass, &[(Verdict::Drop, Matches::default())]);
        let dropped = (Outcome::Rule(RuleId(0)), Action::Drop, Vec::new());
        for fields in [ethertype(0x0806), icmpv6(135), ethertype(0x88cc), ssh()] {
            assert_eq!(decided(&rules, &fields), dropped);
        }
    }

    /// A parser that drops all and one that passes all, but for the class that `set` names.
    fn parsers(set: impl Fn(&mut Parser) -> &mut Policy) -> [(Parser, Action); 2] {
        let one = |others, own| {
            let mut parser = Parser {
                malformed: others,
                truncated: others,
                too_many_headers: others,
                too_many_tags: others,
                unknown_ethertype: others,
            };
            *set(&mut parser) = own;
            (parser, own.into())
        };
        [
            one(Policy::Drop, Policy::Pass),
            one(Policy::Pass, Policy::Drop),
        ]
    }

    #[test]
    fn frames_that_are_not_well_formed_have_the_verdict_of_their_class_before_any_rule() {
        let mut rules = ruleset(Policy::Pass, &[(Verdict::Count, Matches::default())]);
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
            for (parser, action) in parsers {
                rules.settings.parser = parser;
                let expected = Evaluation {
                    outcome: Outcome::Reason(reason),
                    action,
                    counted: Vec::new(),
                };
                assert_eq!(evaluate(&rules, &frame, None), expected);
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
        let rules = &[(Verdict::Pass, lldp), (Verdict::Count, everything)];
        let mut rules = ruleset(Policy::Pass, rules);
        for (parser, action) in parsers(|parser| &mut parser.unknown_ethertype) {
            rules.settings.parser = parser;
            let unknown = Outcome::Reason(Reason::UnknownEthertype);
            // The least and the most length of IEEE 802.3, and what is no EtherType either.
            for number in [0, 1500, 1535, 0x8035, 0xffff] {
                let decided = decided(&rules, &ethertype(number));
                assert_eq!(decided, (unknown, action, vec![1]));
            }
            let rule = Outcome::Rule(RuleId(0));
            let decided = decided(&rules, &ethertype(0x88cc));
            assert_eq!(decided, (rule, Action::Pass, Vec::new()));
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
            assert!(!matches(wanted, &other, None), "{wanted:?}");
        }
        assert!(matches(&all(), &other, None));
        assert!(matches(&given[0], &other, Some("eth0")));
        let fitting =
            |fields: &Fields| given.each_ref().map(|wanted| matches(wanted, fields, None));
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
        assert!(!matches(&all_but_five, &ssh(), None));
        assert!(!matches(&all_but_five, &tagged(5), None));
        assert!(matches(&all_but_five, &tagged(0), None));
        assert!(matches(&vlan(true, Vec::new()), &ssh(), None));
        assert!(!matches(&vlan(true, Vec::new()), &tagged(0), None));
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
        assert!(matches(&length(u16::MAX), &long(65_575), None));
        assert!(matches(&length(u16::MAX), &long(65_535), None));
        assert!(!matches(&length(u16::MAX), &long(65_534), None));
        assert!(!matches(&length(41), &long(40), None));
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
        assert!(matches(&loopback, &icmpv6(1), None));
        let mapped = Fields {
            src: Some(Ipv4Addr::new(0, 0, 0, 1).into()),
            ..ssh()
        };
        assert!(matches(&loopback, &mapped, None));
        assert!(!matches(&loopback, &ssh(), None));
        let message = Matches {
            icmp: Some(IcmpSet {
                v4: RangeSet::full(),
                v6: only(0x0100),
            }),
            ..Matches::default()
        };
        assert!(matches(&message, &icmpv6(1), None));
        assert!(!matches(&message, &icmpv6(2), None));
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
        assert!(matches(&wanted, &ssh(), Some("lo")));
        assert!(!matches(&wanted, &ssh(), Some("eth0")));
        assert!(!matches(&wanted, &ssh(), None));
    }
}
