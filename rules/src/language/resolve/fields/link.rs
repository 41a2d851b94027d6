//! The fields `ethertype`, `vlan`, `src_mac` and `dst_mac`: the headers before the IP header.

use firewall_ebpf::parse::ethertype;

use super::{
    named::Named,
    terms::{combine_within, has_positive, literal, values},
};
use crate::{
    diagnostics::{Code, Report, suggest},
    field::{self, Family, MAX_MAC, MAX_VLAN, RangeSet, VlanSet, mac},
    language::{
        resolve::literal::invalid,
        syntax::{Field, Term},
    },
    text::{NumberError, number, quoted},
};

/// The word for frames without a VLAN tag.
const UNTAGGED: &str = "none";

/// The EtherTypes that the field takes.
pub(crate) fn types(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u16>> {
    values(field, (u16::MIN, u16::MAX), report, |term, text, report| {
        let kind = Named {
            what: "EtherType",
            largest: "the largest EtherType is 0xffff",
        };
        let range = kind.range(ethertype(text), field::ethertypes(), term, text, report)?;
        if let (first, last) = range
            && first == last
            && ethertype::is_tag(first)
        {
            let message = format!("{} is the EtherType of a VLAN tag", quoted(text));
            report
                .add(Code::Contradiction, term.span, message)
                .label("the EtherType is read behind all tags")
                .help("name the tag with `vlan`; `vlan = \"!none\"` is every tagged frame");
            return None;
        }
        Some(range)
    })
}

/// The EtherTypes that a literal of `ethertype` stands for.
pub(crate) fn ethertype(text: &str) -> Result<(u16, u16), NumberError> {
    match field::ethertype_number(text) {
        Some(number) => Ok((number, number)),
        None => number::hex_range(text),
    }
}

/// The family of the IP packets among frames of these types, if it is only one.
pub(crate) fn family_of_types(types: &RangeSet<u16>) -> Option<Family> {
    match (
        types.contains(ethertype::IPV4),
        types.contains(ethertype::IPV6),
    ) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        (true, true) | (false, false) => None,
    }
}

/// The outermost tags that the field takes. Frames without a tag have only their name: neither
/// an identifier nor its negation stands for them.
pub(crate) fn vlans(field: &Field<'_>, report: &mut Report) -> Option<VlanSet> {
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let (mut untagged, mut tagged) = (false, false);
    let mut is_whole = true;
    for term in &field.terms {
        let Some((negated, text)) = literal(field, term, report) else {
            is_whole = false;
            continue;
        };
        match (text, negated) {
            (UNTAGGED, false) => untagged = true,
            (UNTAGGED, true) => tagged = true,
            (_, _) => match identifiers(term, text, report) {
                Some(range) if negated => negative.push(range),
                Some(range) => positive.push(range),
                None => is_whole = false,
            },
        }
    }
    let any = has_positive(field);
    is_whole.then(|| VlanSet {
        untagged: untagged && !tagged,
        ids: combine_within((0, MAX_VLAN), positive, negative, any),
    })
}

fn identifiers(term: &Term<'_>, text: &str, report: &mut Report) -> Option<(u16, u16)> {
    let fault = match number::range(text) {
        Ok((first, last)) if last <= MAX_VLAN => return Some((first, last)),
        Ok(_) => NumberError::TooLarge,
        Err(error) => error,
    };
    let said = match fault {
        NumberError::NotANumber => "expected `none`, a number or a range",
        NumberError::TooLarge | NumberError::Backwards => {
            crate::language::resolve::literal::number_fault(fault)
        }
    };
    let diagnostic = invalid("VLAN", term, text, said, report);
    match fault {
        NumberError::NotANumber => suggest(diagnostic, text, [UNTAGGED]),
        NumberError::TooLarge => {
            diagnostic.help("the largest VLAN identifier is 4095");
        }
        NumberError::Backwards => {}
    }
    None
}

/// The MAC addresses that the field takes.
pub(crate) fn addresses(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u64>> {
    values(field, (0, MAX_MAC), report, |term, text, report| {
        mac::parse(text)
            .map_err(|error| {
                let diagnostic = invalid("MAC address", term, text, &error.to_string(), report);
                diagnostic.help = error.help();
            })
            .ok()
    })
}
