//! The field `icmp_type`.
//!
//! This module owns the text form of ICMP and ICMPv6 messages. The two number their messages
//! differently, so that a name is looked up in both and a number needs one to be chosen.

use firewall_ebpf::parse::protocol;

use super::{
    link::family_of_types,
    terms::{combine, has_positive, literal},
};
use crate::{
    diagnostics::{Code, Report},
    field::{Family, IcmpSet, icmp_type_number, icmp_types},
    language::syntax::{Field, Term},
    model::Matches,
    text::{NumberError, nearest, number, quoted},
};

/// The families whose messages a rule can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    One(Family),
    Both,
}

/// The families that the other fields of a rule leave open; `None` when `proto` excludes ICMP
/// altogether. Where `proto` and `family` disagree, the rule matches nothing, and `proto` says
/// which names make sense.
pub(super) fn families(matches: &Matches) -> Option<Families> {
    let carries = |number| match &matches.proto {
        Some(protocols) => protocols.contains(number),
        None => true,
    };
    match (carries(protocol::ICMP), carries(protocol::ICMPV6)) {
        (true, true) => {
            let of_types = || matches.ethertype.as_ref().and_then(family_of_types);
            let family = matches.family.or_else(of_types);
            Some(family.map_or(Families::Both, Families::One))
        }
        (true, false) => Some(Families::One(Family::Ipv4)),
        (false, true) => Some(Families::One(Family::Ipv6)),
        (false, false) => None,
    }
}

/// The messages that a term names.
struct Messages<'t> {
    kind: MessageKind<'t>,
    codes: (u8, u8),
}

enum MessageKind<'t> {
    Name(&'t str),
    Numbers(u8, u8),
}

/// The messages that the field takes. Without `families`, the terms are not checked against them.
pub(super) fn messages(
    field: &Field<'_>,
    families: Option<Families>,
    report: &mut Report,
) -> Option<IcmpSet> {
    let mut v4 = MessageSide::new(Family::Ipv4, families);
    let mut v6 = MessageSide::new(Family::Ipv6, families);
    let mut is_whole = true;
    for term in &field.terms {
        let read = literal(field, term, report).and_then(|(negated, text)| {
            let messages = read(term, text, report)?;
            judge(&messages.kind, families, term, report).then_some((negated, messages))
        });
        match read {
            Some((negated, messages)) => {
                v4.add(negated, &messages);
                v6.add(negated, &messages);
            }
            None => is_whole = false,
        }
    }
    let any = has_positive(field);
    is_whole.then(|| IcmpSet {
        v4: v4.combine(any),
        v6: v6.combine(any),
    })
}

/// The messages of one family as `type << 8 | code`.
struct MessageSide {
    family: Family,
    is_open: bool,
    positive: Vec<(u16, u16)>,
    negative: Vec<(u16, u16)>,
}

impl MessageSide {
    fn new(family: Family, families: Option<Families>) -> Self {
        Self {
            family,
            is_open: match families {
                Some(Families::One(only)) => only == family,
                Some(Families::Both) | None => true,
            },
            positive: Vec::new(),
            negative: Vec::new(),
        }
    }

    fn add(&mut self, negated: bool, messages: &Messages<'_>) {
        let (first, last) = match messages.kind {
            MessageKind::Numbers(first, last) => (first, last),
            MessageKind::Name(name) => match icmp_type_number(self.family, name) {
                Some(number) => (number, number),
                None => return,
            },
        };
        let side = if negated {
            &mut self.negative
        } else {
            &mut self.positive
        };
        side.extend((first..=last).map(|number| {
            let number = u16::from(number) << 8;
            let (first, last) = messages.codes;
            (number | u16::from(first), number | u16::from(last))
        }));
    }

    fn combine(self, has_positive: bool) -> crate::field::RangeSet<u16> {
        let nothing_else = has_positive || !self.is_open;
        let positive = if self.is_open {
            self.positive
        } else {
            Vec::new()
        };
        combine(positive, self.negative, nothing_else)
    }
}

/// Reads `type` or `type/code`, a type being a name, a number or a range.
fn read<'t>(term: &Term<'_>, text: &'t str, report: &mut Report) -> Option<Messages<'t>> {
    let (kind, codes) = match text.split_once('/') {
        None => (text, Ok((0, u8::MAX))),
        Some((kind, codes)) => (kind, number::range(codes)),
    };
    let kind = match number::range(kind) {
        Ok((first, last)) => Ok(MessageKind::Numbers(first, last)),
        Err(NumberError::NotANumber) => Ok(MessageKind::Name(kind)),
        Err(error @ (NumberError::TooLarge | NumberError::Backwards)) => Err(error),
    };
    match (kind, codes) {
        (Ok(kind), Ok(codes)) => Some(Messages { kind, codes }),
        (Err(error), _) | (_, Err(error)) => {
            let fault = match error {
                NumberError::NotANumber => "expected a number or a range behind the `/`",
                NumberError::TooLarge | NumberError::Backwards => {
                    crate::language::resolve::literal::number_fault(error)
                }
            };
            let diagnostic =
                crate::language::resolve::literal::invalid("ICMP type", term, text, fault, report);
            if error == NumberError::TooLarge {
                diagnostic.help("the largest type and the largest code are 255");
            }
            None
        }
    }
}

/// Whether the type stands for messages of the families, reporting why not.
fn judge(
    kind: &MessageKind<'_>,
    families: Option<Families>,
    term: &Term<'_>,
    report: &mut Report,
) -> bool {
    match (kind, families) {
        (MessageKind::Numbers(..), Some(Families::Both)) => {
            let message = "the number of an ICMP type needs its protocol";
            report
                .add(Code::AmbiguousIcmpType, term.span, message)
                .label("ICMP and ICMPv6 number their messages differently")
                .help("add `proto = \"icmp\"` or `proto = \"icmpv6\"`, or write the type's name");
            false
        }
        (MessageKind::Numbers(..), Some(Families::One(_)) | None) => true,
        (MessageKind::Name(name), families) => {
            let v4 = icmp_type_number(Family::Ipv4, name).is_some();
            let v6 = icmp_type_number(Family::Ipv6, name).is_some();
            match (v4, v6, families) {
                (false, false, _) => unknown(name, term, report),
                (true, false, Some(Families::One(Family::Ipv6))) => {
                    foreign(name, "ICMP", "ICMPv6", term, report);
                }
                (false, true, Some(Families::One(Family::Ipv4))) => {
                    foreign(name, "ICMPv6", "ICMP", term, report);
                }
                (true, _, _) | (_, true, _) => return true,
            }
            false
        }
    }
}

fn unknown(name: &str, term: &Term<'_>, report: &mut Report) {
    let fault = "expected a name, a number or `type/code`";
    let all = icmp_types(Family::Ipv4).chain(icmp_types(Family::Ipv6));
    let meant = nearest(name, all);
    let diagnostic =
        crate::language::resolve::literal::invalid("ICMP type", term, name, fault, report);
    if let Some(meant) = meant {
        diagnostic.help(format!("did you mean `{meant}`?"));
    }
}

fn foreign(name: &str, of: &str, taken: &str, term: &Term<'_>, report: &mut Report) {
    let message = format!(
        "{} is a message of {of}, but the rule matches {taken}",
        quoted(name)
    );
    report.add(Code::Contradiction, term.span, message);
}
