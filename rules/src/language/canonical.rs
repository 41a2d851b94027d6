//! The canonical text form of rule sets: a rule file for what the compiler sees.
//!
//! Disabled rules are left out, sets are written where they are used, values as ascending ranges,
//! defaults are spelled out, the packets of tests are the bytes of their frames. The text has the
//! same meaning as the file: it compiles to the same image, the same tests pass, and its canonical
//! form is itself.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use firewall_ebpf::parse::protocol;

use super::rule_test::{RuleTest, TestPacket};
use crate::{
    evaluator::Outcome,
    field::{
        AddressSet, Family, FieldName, Form, IcmpSet, InterfaceMatch, InterfacePattern, RangeSet,
        StateSet, VlanSet, icmp_type_number, icmp_types, tcp_flag_conditions,
    },
    model::{Flows, LogLimit, Matches, Parser, Rule, Ruleset},
    notation,
    text::{hexadecimal, is_hidden, prefix, span},
};

/// The rule set and its tests as a rule file.
#[must_use]
pub fn text(ruleset: &Ruleset, tests: &[RuleTest]) -> String {
    let settings = &ruleset.settings;
    let mut text = String::from("[firewall]\n");
    let interfaces = settings.interfaces.iter().map(InterfacePattern::as_str);
    list(&mut text, "interfaces", interfaces.map(str::to_owned));
    one(&mut text, "mode", settings.mode.as_str());
    one(&mut text, "policy", settings.policy.as_str());
    one(&mut text, "policy_out", settings.policy_out.as_str());
    write_log(&mut text, settings.logs.policy);
    text.push_str("\n[parser]\n");
    let Parser {
        malformed,
        truncated,
        too_many_headers,
        too_many_tags,
        unknown_ethertype,
    } = settings.parser;
    for (key, verdict) in [
        ("malformed", malformed),
        ("truncated", truncated),
        ("too_many_headers", too_many_headers),
        ("too_many_tags", too_many_tags),
        ("unknown_ethertype", unknown_ethertype),
    ] {
        one(&mut text, key, verdict.as_str());
    }
    write_log(&mut text, settings.logs.parser);
    if settings.logs.bans.is_some() {
        text.push_str("\n[bans]\n");
        write_log(&mut text, settings.logs.bans);
    }
    write_flows(&mut text, ruleset);
    for rule in &ruleset.rules {
        text.push('\n');
        write_rule(&mut text, rule);
    }
    for test in tests {
        text.push('\n');
        write_test(&mut text, test, ruleset);
    }
    text
}

/// The table of flows, if it has an effect or is not the usual one.
fn write_flows(text: &mut String, ruleset: &Ruleset) {
    let flows = ruleset.settings.flows;
    if !ruleset.asks_for_states() && flows == Flows::default() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n[flows]\nmax = {}\n\n[flows.timeouts]", flows.max);
    for (key, timeout) in flows.timeouts.iter() {
        one(text, key, &format!("{}s", timeout.as_secs_f64()));
    }
}

fn write_log(text: &mut String, limit: Option<LogLimit>) {
    let Some(limit) = limit else {
        return;
    };
    let LogLimit { burst, journal, .. } = limit;
    let journal = if journal { ", journal = true" } else { "" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "log = {{ rate = \"{limit}\", burst = {burst}{journal} }}"
    );
}

fn write_rule(text: &mut String, rule: &Rule) {
    text.push_str("[[rule]]\n");
    one(text, "name", &rule.name);
    one(text, "action", rule.action.as_str());
    one(text, "direction", rule.direction.as_str());
    write_log(text, rule.log);
    if let Some(comment) = &rule.comment {
        one(text, "comment", comment);
    }
    for field in FieldName::ALL {
        write_field(text, *field, &rule.matches);
    }
}

fn write_field(text: &mut String, field: FieldName, matches: &Matches) {
    let key = field.as_str();
    match field.form() {
        Form::Interface => {
            if let Some(interface) = &matches.interface {
                list(text, key, patterns(interface));
            }
        }
        Form::InInterface => {
            if let Some(interface) = &matches.in_interface {
                list(text, key, patterns(interface));
            }
        }
        Form::Forwarded => flag(text, key, matches.forwarded),
        Form::Mark => numbers(text, key, matches.mark.as_ref(), |mark| {
            format!("0x{mark:x}")
        }),
        Form::Family => match matches.family {
            Some(Family::Ipv4) => one(text, key, "ipv4"),
            Some(Family::Ipv6) => one(text, key, "ipv6"),
            None => {}
        },
        Form::Ethertype => numbers(text, key, matches.ethertype.as_ref(), |number| {
            format!("0x{number:04x}")
        }),
        Form::Vlan => {
            if let Some(tags) = &matches.vlan {
                list(text, key, vlans(tags));
            }
        }
        Form::SrcMac => numbers(text, key, matches.src_mac.as_ref(), mac),
        Form::DstMac => numbers(text, key, matches.dst_mac.as_ref(), mac),
        Form::Src => {
            if let Some(set) = &matches.src {
                list(text, key, addresses(set));
            }
        }
        Form::Dst => {
            if let Some(set) = &matches.dst {
                list(text, key, addresses(set));
            }
        }
        Form::TcpFlags => {
            if let Some(values) = &matches.tcp_flags {
                list(text, key, tcp_flag_conditions(values));
            }
        }
        Form::Icmp => {
            if let Some(messages) = &matches.icmp {
                list(text, key, icmp_terms(messages, matches));
            }
        }
        Form::Proto
        | Form::Sport
        | Form::Dport
        | Form::Length(_)
        | Form::Number(_)
        | Form::Options(_) => {
            let decimal = |number: u64| number.to_string();
            numbers(text, key, matches.numbers(field).as_ref(), decimal);
        }
        Form::Fragment => flag(text, key, matches.fragment),
        Form::State => {
            if let Some(states) = matches.state {
                list(text, key, state_words(states));
            }
        }
    }
}

fn write_test(text: &mut String, test: &RuleTest, ruleset: &Ruleset) {
    text.push_str("[[test]]\n");
    one(text, "name", &test.name);
    let packet = |packet: &TestPacket| {
        let bytes = format!("hex {}", hexadecimal::digits(&packet.frame));
        // Without a word, it is again on no named interface.
        notation::with_context(&bytes, &packet.context.as_ref().map(Option::as_deref))
    };
    if !test.given.is_empty() {
        list(text, "given", test.given.iter().map(packet));
    }
    if !test.after.is_zero() {
        one(text, "after", &format!("{}s", test.after.as_secs_f64()));
    }
    list(text, "packet", test.packets.iter().map(packet));
    one(text, "expect", test.expected.verdict.as_str());
    match test.expected.by {
        None => {}
        Some(Outcome::Reason(reason)) => one(text, "reason", reason.name()),
        Some(Outcome::Rule(id)) => {
            let rule = ruleset.rules.get(id.0 as usize);
            one(text, "rule", rule.map_or("", |rule| &rule.name));
        }
    }
}

fn flag(text: &mut String, key: &str, value: Option<bool>) {
    if let Some(value) = value {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn one(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {}", string(value));
}

fn list(text: &mut String, key: &str, values: impl IntoIterator<Item = String>) {
    let values: Vec<String> = values.into_iter().map(|value| string(&value)).collect();
    let _ = writeln!(text, "{key} = [{}]", values.join(", "));
}

/// A basic string of TOML.
fn string(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            _ if is_hidden(character) => {
                let _ = match u32::from(character) {
                    number @ ..=0xffff => write!(text, "\\u{number:04x}"),
                    number => write!(text, "\\U{number:08x}"),
                };
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

fn patterns(of: &InterfaceMatch) -> Vec<String> {
    let positives = of
        .positives
        .iter()
        .map(|pattern| pattern.as_str().to_owned());
    positives
        .chain(of.negatives.iter().map(|pattern| format!("!{pattern}")))
        .collect()
}

/// The ranges of a field; for an empty one, a negation of everything.
fn numbers<T: crate::field::Value>(
    text: &mut String,
    key: &str,
    set: Option<&RangeSet<T>>,
    word: impl Fn(T) -> String,
) {
    let Some(set) = set else { return };
    if set.is_empty() {
        let zero = word(T::MIN);
        list(text, key, [zero.clone(), format!("!{zero}")]);
        return;
    }
    list(
        text,
        key,
        set.ranges().iter().map(|range| span(*range, &word)),
    );
}

fn mac(number: u64) -> String {
    crate::field::Mac(number).to_string()
}

fn vlans(set: &VlanSet) -> Vec<String> {
    let none = set.untagged.then(|| "none".to_owned());
    let ids = set
        .ids
        .ranges()
        .iter()
        .map(|range| span(*range, |id| id.to_string()));
    let words: Vec<String> = none.into_iter().chain(ids).collect();
    if words.is_empty() {
        vec!["none".to_owned(), "!none".to_owned()]
    } else {
        words
    }
}

fn state_words(set: StateSet) -> Vec<String> {
    let words: Vec<String> = set.iter().map(|state| state.as_str().to_owned()).collect();
    if words.is_empty() {
        vec!["new".to_owned(), "!new".to_owned()]
    } else {
        words
    }
}

fn addresses(set: &AddressSet) -> Vec<String> {
    let v4 = set.v4.ranges().iter().map(|&(first, last)| {
        prefix(first.into(), last.into(), 32, |number| {
            Ipv4Addr::from(number as u32).to_string()
        })
    });
    let v6 = set.v6.ranges().iter().map(|&(first, last)| {
        prefix(first, last, 128, |number| {
            Ipv6Addr::from(number).to_string()
        })
    });
    let words: Vec<String> = v4.chain(v6).collect();
    if words.is_empty() {
        vec!["0.0.0.0".to_owned(), "!0.0.0.0".to_owned()]
    } else {
        words
    }
}

/// The messages by number if the rule determines their family, otherwise by name.
fn icmp_terms(messages: &IcmpSet, matches: &Matches) -> Vec<String> {
    let carries = |number| {
        matches
            .proto
            .as_ref()
            .is_none_or(|set| set.contains(number))
    };
    let of_types = matches
        .ethertype
        .as_ref()
        .and_then(|types| match types.ranges() {
            [(0x0800, 0x0800)] => Some(Family::Ipv4),
            [(0x86dd, 0x86dd)] => Some(Family::Ipv6),
            _ => None,
        });
    let family = match (carries(protocol::ICMP), carries(protocol::ICMPV6)) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        _ => matches.family.or(of_types),
    };
    let words = match family {
        Some(Family::Ipv4) => message_numbers(&messages.v4),
        Some(Family::Ipv6) => message_numbers(&messages.v6),
        None => {
            let others = IcmpSet {
                v4: messages.v4.complement(),
                v6: messages.v6.complement(),
            };
            let named = message_names(messages, "");
            named
                .or_else(|| message_names(&others, "!"))
                .unwrap_or_default()
        }
    };
    if words.is_empty() {
        let name = if family.is_some() {
            "0"
        } else {
            "echo-request"
        };
        return vec![name.to_owned(), format!("!{name}")];
    }
    words
}

fn message_numbers(set: &RangeSet<u16>) -> Vec<String> {
    let mut words = Vec::new();
    for kind in 0..=u8::MAX {
        let all = (u16::from(kind) << 8, u16::from(kind) << 8 | 0xff);
        let codes = set.intersection(&RangeSet::from_ranges(vec![all]));
        words.extend(codes.ranges().iter().map(|range| {
            if *range == all {
                return kind.to_string();
            }
            let codes = span((range.0 & 0xff, range.1 & 0xff), |code| code.to_string());
            format!("{kind}/{codes}")
        }));
    }
    words
}

/// Names that stand for exactly these messages; `None` if there are none.
fn message_names(messages: &IcmpSet, sign: &str) -> Option<Vec<String>> {
    let mut names: Vec<&str> = icmp_types(Family::Ipv4)
        .chain(icmp_types(Family::Ipv6))
        .collect();
    names.sort_unstable();
    names.dedup();
    let (mut v4, mut v6, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let of = |family| icmp_type_number(family, name).map(|number| u16::from(number) << 8);
        let (of_v4, of_v6) = (of(Family::Ipv4), of(Family::Ipv6));
        let told = |code: u16| {
            of_v4.is_none_or(|kind| messages.v4.contains(kind | code))
                && of_v6.is_none_or(|kind| messages.v6.contains(kind | code))
        };
        let codes = RangeSet::from_ranges(
            (0..=0xff)
                .filter(|code| told(*code))
                .map(|code| (code, code))
                .collect(),
        );
        for &(first, last) in codes.ranges() {
            v4.extend(of_v4.map(|kind| (kind | first, kind | last)));
            v6.extend(of_v6.map(|kind| (kind | first, kind | last)));
            words.push(if (first, last) == (0, 0xff) {
                format!("{sign}{name}")
            } else {
                format!(
                    "{sign}{name}/{}",
                    span((first, last), |code: u16| code.to_string())
                )
            });
        }
    }
    let is_all =
        RangeSet::from_ranges(v4) == messages.v4 && RangeSet::from_ranges(v6) == messages.v6;
    is_all.then_some(words)
}
