//! The match fields of rules.
//!
//! This module owns what each field takes and how its values make a set. It does not compare
//! fields with each other, but for the ICMP type, whose numbers mean nothing without a family.

mod icmp;
mod link;
mod network;

use std::{collections::HashMap, sync::Arc};

use super::{
    interface_pattern,
    sets::{Sets, address, invalid, number_fault, port},
};
use crate::{
    diagnostics::{Code, Report, quoted},
    names::{self, nearest},
    ranges::{RangeSet, Value},
    ruleset::{AddressSet, Family, InterfaceMatch, Matches},
    syntax::{
        Field, FieldName, Operand, Rule, Term,
        address::Ranges,
        number::{self, NumberError},
        suggest,
    },
};

pub(super) use link::{ethertype, family_of_types};

/// What the fields of all rules share.
pub(super) struct Fields<'a> {
    sets: Sets<'a>,
    /// The address sets of fields by their terms as written. A field that names the same sets as
    /// another shares its set, however large they are.
    known: HashMap<Vec<&'a str>, Arc<AddressSet>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(sets: Sets<'a>) -> Self {
        Self {
            sets,
            known: HashMap::new(),
        }
    }

    pub(super) fn into_sets(self) -> Sets<'a> {
        self.sets
    }

    /// What the fields of a rule match; `None` when one is wrong, which is reported.
    pub(super) fn resolve(&mut self, rule: &'a Rule<'a>, report: &mut Report) -> Option<Matches> {
        let mut matches = Matches::default();
        let mut is_whole = !rule.is_partial;
        for field in &rule.fields {
            is_whole &= match field.name {
                FieldName::Interface => store(&mut matches.interface, interface(field, report)),
                FieldName::Family => store(&mut matches.family, family(field, report)),
                FieldName::Src => store(&mut matches.src, self.addresses(field, report)),
                FieldName::Dst => store(&mut matches.dst, self.addresses(field, report)),
                FieldName::Proto => store(&mut matches.proto, protocols(field, report)),
                FieldName::Sport => store(&mut matches.sport, self.ports(field, report)),
                FieldName::Dport => store(&mut matches.dport, self.ports(field, report)),
                FieldName::TcpFlags => store(&mut matches.tcp_flags, tcp_flags(field, report)),
                FieldName::Ethertype => store(&mut matches.ethertype, link::types(field, report)),
                FieldName::Vlan => store(&mut matches.vlan, link::vlans(field, report)),
                FieldName::SrcMac => store(&mut matches.src_mac, link::addresses(field, report)),
                FieldName::DstMac => store(&mut matches.dst_mac, link::addresses(field, report)),
                FieldName::Length => store(&mut matches.length, network::lengths(field, report)),
                FieldName::Ttl => store(&mut matches.ttl, network::ttls(field, report)),
                FieldName::Dscp => store(&mut matches.dscp, network::dscps(field, report)),
                FieldName::Fragment => store(&mut matches.fragment, network::fragment(field)),
                FieldName::IcmpType => {
                    // A field that is wrong may have been meant to say which family it is.
                    let families = if is_whole {
                        icmp::families(&matches)
                    } else {
                        None
                    };
                    store(&mut matches.icmp, icmp::messages(field, families, report))
                }
            };
        }
        is_whole.then_some(matches)
    }

    fn addresses(&mut self, field: &'a Field<'a>, report: &mut Report) -> Option<Arc<AddressSet>> {
        if let [term] = field.terms.as_slice()
            && let (false, Operand::Set(name)) = term.split()
        {
            return self.sets.addresses(name, field, term, report).cloned();
        }
        let key: Vec<_> = field.terms.iter().map(|term| term.text.as_ref()).collect();
        if let Some(set) = self.known.get(&key) {
            return Some(Arc::clone(set));
        }
        let (mut positive, mut negative) = (Ranges::default(), Ranges::default());
        let mut is_whole = true;
        for term in &field.terms {
            let (negated, operand) = term.split();
            let side = if negated {
                &mut negative
            } else {
                &mut positive
            };
            is_whole &= match operand {
                Operand::Literal(text) => address(term, text, report)
                    .map(|range| side.push(range))
                    .is_some(),
                Operand::Set(name) => self
                    .sets
                    .addresses(name, field, term, report)
                    .map(|set| side.extend(set))
                    .is_some(),
            };
        }
        let any = has_positive(field);
        let set = is_whole.then(|| AddressSet {
            v4: combine(positive.v4, negative.v4, any),
            v6: combine(positive.v6, negative.v6, any),
        })?;
        let set = Arc::new(set);
        self.known.insert(key, Arc::clone(&set));
        Some(set)
    }

    fn ports(&mut self, field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u16>> {
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let mut is_whole = true;
        for term in &field.terms {
            let (negated, operand) = term.split();
            let side = if negated {
                &mut negative
            } else {
                &mut positive
            };
            is_whole &= match operand {
                Operand::Literal(text) => port(term, text, report)
                    .map(|range| side.push(range))
                    .is_some(),
                Operand::Set(name) => self
                    .sets
                    .ports(name, field, term, report)
                    .map(|set| side.extend_from_slice(set.ranges()))
                    .is_some(),
            };
        }
        is_whole.then(|| combine(positive, negative, has_positive(field)))
    }
}

/// Keeps what a field was resolved to, and says whether it was.
fn store<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    *slot = value;
    slot.is_some()
}

/// Whether a term of the field is not negated. Without such a term, the field takes all that the
/// negated ones leave.
fn has_positive(field: &Field<'_>) -> bool {
    field.terms.iter().any(|term| !term.split().0)
}

/// The positive ranges, or everything when no term `has_positive` ones, less the negative ranges.
fn combine<T: Value>(
    positive: Vec<(T, T)>,
    negative: Vec<(T, T)>,
    has_positive: bool,
) -> RangeSet<T> {
    combine_within((T::MIN, T::MAX), positive, negative, has_positive)
}

/// Like [`combine`], of a field whose values are those of `all`.
fn combine_within<T: Value>(
    all: (T, T),
    positive: Vec<(T, T)>,
    negative: Vec<(T, T)>,
    has_positive: bool,
) -> RangeSet<T> {
    let taken = RangeSet::from_ranges(if has_positive { positive } else { vec![all] });
    if negative.is_empty() {
        return taken;
    }
    taken.difference(&RangeSet::from_ranges(negative))
}

/// The set that the terms of a field make, of which there are no sets and whose values are those
/// of `all`; `read` takes the range from a literal, or reports why it is none.
fn values<T: Value>(
    field: &Field<'_>,
    all: (T, T),
    report: &mut Report,
    read: impl Fn(&Term<'_>, &str, &mut Report) -> Option<(T, T)>,
) -> Option<RangeSet<T>> {
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let mut is_whole = true;
    for term in &field.terms {
        let range = literal(field, term, report)
            .and_then(|(negated, text)| Some((negated, read(term, text, report)?)));
        match range {
            Some((false, range)) => positive.push(range),
            Some((true, range)) => negative.push(range),
            None => is_whole = false,
        }
    }
    is_whole.then(|| combine_within(all, positive, negative, has_positive(field)))
}

/// The literal of a term, and whether it is negated, for fields of which there are no sets.
fn literal<'t>(
    field: &Field<'_>,
    term: &'t Term<'_>,
    report: &mut Report,
) -> Option<(bool, &'t str)> {
    match term.split() {
        (negated, Operand::Literal(text)) => Some((negated, text)),
        (_, Operand::Set(_)) => {
            let message = format!("`{}` takes no sets", field.name.as_str());
            report
                .add(Code::WrongSet, term.span, message)
                .help("sets hold addresses or ports; list the values here");
            None
        }
    }
}

fn interface(field: &Field<'_>, report: &mut Report) -> Option<InterfaceMatch> {
    let mut patterns = InterfaceMatch::default();
    let mut is_whole = true;
    for term in &field.terms {
        let pattern = literal(field, term, report).and_then(|(negated, text)| {
            interface_pattern(term, text, report).map(|pattern| (negated, pattern))
        });
        match pattern {
            Some((false, pattern)) => patterns.positives.push(pattern),
            Some((true, pattern)) => patterns.negatives.push(pattern),
            None => is_whole = false,
        }
    }
    is_whole.then_some(patterns)
}

fn family(field: &Field<'_>, report: &mut Report) -> Option<Family> {
    let [term] = field.terms.as_slice() else {
        report
            .add(Code::InvalidValue, field.span, "`family` takes one value")
            .help("leave `family` out to match both families");
        return None;
    };
    match term.text.as_ref() {
        "ipv4" => Some(Family::Ipv4),
        "ipv6" => Some(Family::Ipv6),
        other => {
            let message = format!("unknown family {}", quoted(other));
            let diagnostic = report.add(Code::InvalidValue, term.span, message);
            suggest(diagnostic, other, ["ipv4", "ipv6"]);
            None
        }
    }
}

fn protocols(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u8>> {
    values(field, (u8::MIN, u8::MAX), report, |term, text, report| {
        let kind = Named {
            what: "protocol",
            largest: "the largest protocol number is 255",
        };
        kind.range(protocol(text), names::protocols(), term, text, report)
    })
}

/// A kind of value that has names and numbers.
struct Named {
    what: &'static str,
    /// What to say of a number that is too large.
    largest: &'static str,
}

impl Named {
    /// The range that was read, or `None` and a report of why there is none, with the one of
    /// `names` that was meant.
    fn range<T>(
        &self,
        read: Result<(T, T), NumberError>,
        names: impl Iterator<Item = &'static str>,
        term: &Term<'_>,
        text: &str,
        report: &mut Report,
    ) -> Option<(T, T)> {
        let error = match read {
            Ok(range) => return Some(range),
            Err(error) => error,
        };
        let fault = match error {
            NumberError::NotANumber => "expected a name, a number or a range",
            NumberError::TooLarge | NumberError::Backwards => number_fault(error),
        };
        let diagnostic = invalid(self.what, term, text, fault, report);
        match (error, nearest(text, names)) {
            (NumberError::NotANumber, Some(meant)) => {
                diagnostic.help(format!("did you mean `{meant}`?"));
            }
            (NumberError::TooLarge, _) => {
                diagnostic.help(self.largest);
            }
            (NumberError::NotANumber, None) | (NumberError::Backwards, _) => {}
        }
        None
    }
}

/// The protocols that a literal of `proto` stands for.
pub(super) fn protocol(text: &str) -> Result<(u8, u8), NumberError> {
    match names::protocol_number(text) {
        Some(number) => Ok((number, number)),
        None => number::range(text),
    }
}

/// The values of the flags byte that fit one of the terms.
fn tcp_flags(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u8>> {
    let conditions: Vec<_> = field
        .terms
        .iter()
        .filter_map(|term| flag_condition(term, report))
        .collect();
    let fits = |value: u8| conditions.iter().any(|c| c.fits(value));
    let fitting = (0..=u8::MAX).filter(|value| fits(*value));
    (conditions.len() == field.terms.len())
        .then(|| RangeSet::from_ranges(fitting.map(|value| (value, value)).collect()))
}

/// The flags that must be set and those that must be clear.
#[derive(Clone, Copy, Default)]
struct FlagCondition {
    set: u8,
    clear: u8,
}

impl FlagCondition {
    const fn fits(self, value: u8) -> bool {
        value & self.set == self.set && value & self.clear == 0
    }
}

/// Reads flags like `syn,!ack`: a flag that is named is set, one behind `!` is clear.
fn flag_condition(term: &Term<'_>, report: &mut Report) -> Option<FlagCondition> {
    let mut condition = FlagCondition::default();
    for word in term.text.split(',').map(str::trim) {
        let (side, name) = match word.strip_prefix('!') {
            Some(name) => (&mut condition.clear, name),
            None => (&mut condition.set, word),
        };
        let Some(bit) = names::tcp_flag(name) else {
            let diagnostic = invalid("TCP flag", term, name, "", report);
            suggest(diagnostic, name, names::tcp_flags());
            return None;
        };
        *side |= bit;
    }
    if condition.set & condition.clear != 0 {
        let message = format!("no packet has the TCP flags {}", quoted(&term.text));
        report
            .add(Code::Contradiction, term.span, message)
            .label("a flag is both set and clear");
        return None;
    }
    Some(condition)
}
