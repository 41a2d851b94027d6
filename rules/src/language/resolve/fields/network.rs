//! The fields `length`, `ttl`, `dscp` and `fragment`: what the IP header says beside addresses.

use super::{named::Named, terms::values};
use crate::{
    diagnostics::Report,
    field::{self, MAX_DSCP, RangeSet},
    language::{resolve::literal::invalid, syntax::Field},
    text::{NumberError, number},
};

/// The lengths of IP packets that the field takes.
pub(super) fn lengths(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u16>> {
    values(field, (u16::MIN, u16::MAX), report, |term, text, report| {
        number::range(text)
            .map_err(|error| {
                let fault = crate::language::resolve::literal::number_fault(error);
                let diagnostic = invalid("length", term, text, fault, report);
                if error == NumberError::TooLarge {
                    diagnostic.help("65535 stands for every length from there on");
                }
            })
            .ok()
    })
}

/// The hops left that the field takes.
pub(super) fn ttls(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u8>> {
    values(field, (u8::MIN, u8::MAX), report, |term, text, report| {
        number::range(text)
            .map_err(|error| {
                let fault = crate::language::resolve::literal::number_fault(error);
                let diagnostic = invalid("time to live", term, text, fault, report);
                if error == NumberError::TooLarge {
                    diagnostic.help("the largest time to live is 255");
                }
            })
            .ok()
    })
}

/// The code points that the field takes.
pub(super) fn dscps(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u8>> {
    values(field, (0, MAX_DSCP), report, |term, text, report| {
        let kind = Named {
            what: "code point",
            largest: "the largest code point is 63",
        };
        let read = match field::dscp_number(text) {
            Some(number) => Ok((number, number)),
            None => number::range(text).and_then(|(first, last)| match last <= MAX_DSCP {
                true => Ok((first, last)),
                false => Err(NumberError::TooLarge),
            }),
        };
        kind.range(read, field::dscps(), term, text, report)
    })
}

/// Whether fragments are meant, or all other packets.
pub(super) fn fragment(field: &Field<'_>) -> Option<bool> {
    let [term] = field.terms.as_slice() else {
        return None;
    };
    Some(term.text == "true")
}
