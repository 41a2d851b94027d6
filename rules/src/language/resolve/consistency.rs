//! The consistency of the fields of one rule.
//!
//! This module owns the comparison of fields. A combination that cannot be intended is an error;
//! one that matches nothing, perhaps only because of the current contents of a list, is a warning.

use firewall_ebpf::parse::{ethertype, protocol};

use super::fields;
use crate::{
    diagnostics::{Code, Diagnostic, Report, Span},
    field::{
        AddressSet, Family, FieldName, Form, InterfaceMatch, OptionGroups, RangeSet, family_name,
    },
    language::syntax::{Field, Operand, Term, WrittenRule},
    model::{Direction, Matches, Settings},
    text::quoted,
};

/// Reports what is wrong with the fields of a rule, each of which is correct by itself.
pub(super) fn check(
    rule: &WrittenRule<'_>,
    matches: &Matches,
    direction: Option<Direction>,
    settings: &Settings,
    report: &mut Report,
) {
    if direction == Some(Direction::In) {
        check_fields_of_out(rule, report);
    }
    check_origin(rule, matches, report);
    check_protocols(rule, matches, report);
    check_layers(rule, report);
    check_ethertypes(rule, matches, report);
    let is_contradiction = check_ip_options(rule, matches, report);
    if !warn_of_empty(rule, matches, settings, report) && !is_contradiction {
        warn_of_families(rule, matches, report);
        warn_of_lengths(rule, matches, report);
        warn_of_extension_headers(rule, matches, report);
    }
}

/// Reports fields that only packets out have.
fn check_fields_of_out(rule: &WrittenRule<'_>, report: &mut Report) {
    let of_out = |field: &&Field<'_>| field.name.form().is_of_out();
    for field in rule.fields.iter().filter(of_out) {
        let message = format!("only packets out have `{}`", field.name.as_str());
        let diagnostic = report.add(Code::Contradiction, field.span, message);
        match rule.direction {
            Some(direction) => {
                diagnostic
                    .note_at(direction.span, "the rule is for packets in")
                    .help("write `direction = \"out\"`, or leave the field out");
            }
            None => {
                diagnostic
                    .label("the rule is for packets in, since it says no direction")
                    .help("add `direction = \"out\"`");
            }
        }
    }
}

/// Reports the receiving interface of packets that the machine itself sends.
fn check_origin(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) {
    if let (Some(field), Some(forwarded)) = (
        rule.field(FieldName::InInterface),
        rule.field(FieldName::Forwarded),
    ) && matches.forwarded == Some(false)
    {
        report
            .add(
                Code::Contradiction,
                field.span,
                "packets that the machine itself sends arrived on no interface",
            )
            .note_at(forwarded.span, "the rule is for such packets")
            .help("leave out `in_interface`, or `forwarded`");
    }
}

/// The kind of packets that have a field.
struct Carrier {
    field: FieldName,
    /// The part that other protocols lack.
    part: &'static str,
    carries: fn(u8) -> bool,
    help: &'static str,
}

const HELP_PORTS: &str = "the protocols with ports are `tcp`, `udp`, `udplite`, `sctp` and `dccp`";

const CARRIERS: &[Carrier] = &[
    Carrier {
        field: FieldName::Sport,
        part: "ports",
        carries: protocol::has_ports,
        help: HELP_PORTS,
    },
    Carrier {
        field: FieldName::Dport,
        part: "ports",
        carries: protocol::has_ports,
        help: HELP_PORTS,
    },
    Carrier {
        field: FieldName::TcpFlags,
        part: "TCP flags",
        carries: |number| number == protocol::TCP,
        help: "only `tcp` has TCP flags",
    },
    Carrier {
        field: FieldName::IcmpType,
        part: "ICMP type",
        carries: |number| matches!(number, protocol::ICMP | protocol::ICMPV6),
        help: "only `icmp` and `icmpv6` have ICMP types",
    },
];

/// Reports protocols that lack the field of another condition.
fn check_protocols(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) {
    let (Some(field), Some(protocols)) = (rule.field(FieldName::Proto), &matches.proto) else {
        return;
    };
    for carrier in CARRIERS {
        let Some(carried) = rule.field(carrier.field) else {
            continue;
        };
        let lacks = |first: u8, last: u8| !(first..=last).any(carrier.carries);
        let mut complain = |span: Span, what: &str| {
            let key = carrier.field.as_str();
            report
                .add(
                    Code::Contradiction,
                    span,
                    format!("{what} has no {}", carrier.part),
                )
                .note_at(carried.span, format!("`{key}` is given here"))
                .help(carrier.help);
        };
        let mut is_named = false;
        for term in &field.terms {
            if let (false, Operand::Literal(text)) = term.split()
                && let Ok((first, last)) = fields::protocol(text)
                && lacks(first, last)
            {
                is_named = true;
                complain(term.span, &quoted(text));
            }
        }
        let mut ranges = protocols.ranges().iter();
        if !is_named && !protocols.is_empty() && ranges.all(|(first, last)| lacks(*first, *last)) {
            complain(field.span, "what `proto` leaves");
        }
    }
}

/// Reports an ICMP type together with fields that ICMP messages do not have.
fn check_layers(rule: &WrittenRule<'_>, report: &mut Report) {
    let Some(icmp) = rule.field(FieldName::IcmpType) else {
        return;
    };
    for name in [FieldName::Sport, FieldName::Dport, FieldName::TcpFlags] {
        if let Some(other) = rule.field(name) {
            let message = format!("no packet has both an ICMP type and `{}`", name.as_str());
            report
                .add(Code::Contradiction, icmp.span, message)
                .note_at(other.span, format!("`{}` is given here", name.as_str()));
        }
    }
}

/// Reports EtherTypes other than those of IP together with fields that only IP packets have.
fn check_ethertypes(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) {
    let (Some(field), Some(types)) = (rule.field(FieldName::Ethertype), &matches.ethertype) else {
        return;
    };
    let mut of_ip = FieldName::ALL.iter().filter(|name| name.form().is_of_ip());
    let Some(other) = of_ip.find_map(|name| rule.field(*name)) else {
        return;
    };
    let key = other.name.as_str();
    let help = if matches!(other.name.form(), Form::Options(_)) {
        "only `ipv4` packets have it"
    } else {
        "only `ipv4` and `ipv6` packets have it"
    };
    let mut complain = |span: Span, what: &str| {
        report
            .add(
                Code::Contradiction,
                span,
                format!("no packet has both {what} and `{key}`"),
            )
            .note_at(other.span, format!("`{key}` is given here"))
            .help(help);
    };
    let lacks = |(first, last): (u16, u16)| {
        let is_within = |number| (first..=last).contains(&number);
        !is_within(ethertype::IPV4) && !is_within(ethertype::IPV6)
    };
    let mut is_named = false;
    for term in &field.terms {
        if let (false, Operand::Literal(text)) = term.split()
            && let Ok(range) = fields::ethertype(text)
            && lacks(range)
        {
            is_named = true;
            complain(term.span, &format!("the EtherType {}", quoted(text)));
        }
    }
    if !is_named && !types.is_empty() && types.ranges().iter().copied().all(lacks) {
        complain(field.span, "an EtherType that this leaves");
    }
}

/// Reports options of IPv4 together with another family, and says whether they were.
fn check_ip_options(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) -> bool {
    let (Some(options), Some(family)) = (
        rule.field(FieldName::IpOption),
        rule.field(FieldName::Family),
    ) else {
        return false;
    };
    let is_other = matches.family == Some(Family::Ipv6);
    if is_other {
        let message = format!("no IPv6 packet has `{}`", options.name.as_str());
        report
            .add(Code::Contradiction, options.span, message)
            .note_at(family.span, "the family is given here")
            .help("only IPv4 packets have it");
    }
    is_other
}

/// Reports more groups of IPv4 options than a rule set may distinguish, at the rule that makes them
/// too many.
pub(super) fn check_option_groups<'a>(
    rules: impl Iterator<Item = (&'a WrittenRule<'a>, &'a RangeSet<u8>)>,
    report: &mut Report,
) {
    let mut sets: Vec<&RangeSet<u8>> = Vec::new();
    for (rule, set) in rules {
        if sets.contains(&set) {
            continue;
        }
        sets.push(set);
        let count = OptionGroups::new(sets.iter().copied()).len();
        let Some(field) = rule
            .field(FieldName::IpOption)
            .filter(|_| count > OptionGroups::MAX)
        else {
            continue;
        };
        let message = format!(
            "the rules distinguish {count} groups of IPv4 options, more than the {} allowed",
            OptionGroups::MAX
        );
        report
            .add(Code::TooManyOptions, field.span, message)
            .label("with this, they are too many")
            .help("options that the same rules match are one group");
        return;
    }
}

/// Warns about fields that match nothing, and returns whether there was one.
fn warn_of_empty(
    rule: &WrittenRule<'_>,
    matches: &Matches,
    settings: &Settings,
    report: &mut Report,
) -> bool {
    let is_elsewhere = |name| {
        let interface = matches.interface.as_ref();
        name == FieldName::Interface && interface.is_some_and(|it| is_elsewhere(it, settings))
    };
    let mut found = false;
    let is_of_sets = |term: &Term<'_>| matches!(term.split(), (false, Operand::Set(_)));
    for field in &rule.fields {
        let fault = if is_elsewhere(field.name) {
            "this leaves no interface that the firewall is attached to"
        } else if !matches.is_empty(field.name) {
            continue;
        } else if field.terms.iter().all(is_of_sets) {
            "its sets have no members"
        } else {
            "the negated values leave nothing"
        };
        found = true;
        never(rule, field, report).label(fault);
    }
    found
}

/// Whether the match is of interfaces by name, to none of which the firewall is attached.
fn is_elsewhere(interface: &InterfaceMatch, settings: &Settings) -> bool {
    let attached = |name: &str| settings.interfaces.iter().any(|p| p.selects(name));
    let reachable = |name: &str| attached(name) && interface.matches(name);
    let names = &interface.positives;
    !settings.interfaces.is_empty()
        && !names.is_empty()
        && !names
            .iter()
            .any(|name| name.is_glob() || reachable(name.as_str()))
}

/// Warns about two fields each of which leaves only the family that the other excludes.
fn warn_of_families(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) {
    let families = [
        (FieldName::Family, matches.family),
        (
            FieldName::Src,
            matches.src.as_deref().and_then(family_of_addresses),
        ),
        (
            FieldName::Dst,
            matches.dst.as_deref().and_then(family_of_addresses),
        ),
        (
            FieldName::Proto,
            matches.proto.as_ref().and_then(family_of_protocols),
        ),
        (
            FieldName::IcmpType,
            matches
                .icmp
                .as_ref()
                .and_then(|icmp| only_family(icmp.v4.is_empty(), icmp.v6.is_empty())),
        ),
        (
            FieldName::IpOption,
            matches.ip_option.as_ref().map(|_| Family::Ipv4),
        ),
        (
            FieldName::Ethertype,
            matches.ethertype.as_ref().and_then(fields::family_of_types),
        ),
    ];
    let only = |name| {
        let mut known = families.iter().filter(|(of, _)| *of == name);
        known.find_map(|(_, family)| *family)
    };
    let mut fields = rule
        .fields
        .iter()
        .filter_map(|field| Some((field, only(field.name)?)));
    let Some((first, family)) = fields.next() else {
        return;
    };
    if let Some((second, other)) = fields.find(|(_, other)| *other != family) {
        let only = |family| format!("this matches {} only", family_name(family));
        let warning = never(rule, second, report);
        warning.label(only(other)).note_at(first.span, only(family));
        if [first.name, second.name].contains(&FieldName::Proto) {
            // The number of the other protocol can stand in a packet; no host would read it.
            warning.message = format!("{} matches no packet that makes sense", subject(rule));
            warning.help("`icmp` is carried by IPv4 and `icmpv6` by IPv6");
        }
    }
}

/// Warns about lengths that are all shorter than an IP header.
fn warn_of_lengths(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) {
    let (Some(field), Some(lengths)) = (rule.field(FieldName::Length), &matches.length) else {
        return;
    };
    let (family, shortest) = match matches.family {
        Some(Family::Ipv6) => ("IPv6", 40),
        Some(Family::Ipv4) => ("IPv4", 20),
        None => ("IP", 20),
    };
    if lengths.ranges().iter().all(|(_, last)| *last < shortest) {
        let fault = format!("no {family} packet is shorter than {shortest} bytes");
        never(rule, field, report).label(fault);
    }
}

/// Warns of protocols that are extension headers of IPv6 in a rule for IPv6 only: rules are compared
/// with the protocol after all of them, which later fragments alone do not have.
fn warn_of_extension_headers(rule: &WrittenRule<'_>, matches: &Matches, report: &mut Report) {
    let families = [
        matches.family,
        matches.src.as_deref().and_then(family_of_addresses),
        matches.dst.as_deref().and_then(family_of_addresses),
    ];
    let Some(field) = rule.field(FieldName::Proto) else {
        return;
    };
    if !families.contains(&Some(Family::Ipv6)) || matches.fragment == Some(true) {
        return;
    }
    for term in &field.terms {
        if let (false, Operand::Literal(text)) = term.split()
            && let Ok((first, last)) = fields::protocol(text)
            && (first..=last).all(protocol::is_ipv6_extension)
        {
            let message = format!(
                "{} is an extension header of IPv6, and matches only later fragments there",
                quoted(text)
            );
            report.add(Code::ExtensionHeader, term.span, message).help(
                "`proto` is the protocol after all extension headers; no field is about the \
                     headers themselves",
            );
        }
    }
}

fn family_of_addresses(set: &AddressSet) -> Option<Family> {
    only_family(set.v4.is_empty(), set.v6.is_empty())
}

/// ICMP is carried by IPv4 only and ICMPv6 by IPv6 only.
fn family_of_protocols(protocols: &RangeSet<u8>) -> Option<Family> {
    let is_only = |number| protocols.ranges() == [(number, number)];
    only_family(is_only(protocol::ICMPV6), is_only(protocol::ICMP))
}

const fn only_family(no_v4: bool, no_v6: bool) -> Option<Family> {
    match (no_v4, no_v6) {
        (false, true) => Some(Family::Ipv4),
        (true, false) => Some(Family::Ipv6),
        (false, false) | (true, true) => None,
    }
}

/// Warns that a rule matches nothing because of a field.
fn never<'r>(
    rule: &WrittenRule<'_>,
    field: &Field<'_>,
    report: &'r mut Report,
) -> &'r mut Diagnostic {
    let message = format!("{} can never match", subject(rule));
    report.add(Code::NeverMatches, field.span, message)
}

fn subject(rule: &WrittenRule<'_>) -> String {
    match rule.name {
        Some(name) => format!("the rule {}", quoted(name.value)),
        None => "the rule".to_owned(),
    }
}
