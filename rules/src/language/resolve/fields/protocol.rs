//! The field `proto`.

use super::{named::Named, terms::values};
use crate::{
    diagnostics::Report,
    field::{self, RangeSet},
    language::syntax::Field,
    text::{NumberError, number},
};

pub(crate) fn protocols(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u8>> {
    values(field, (u8::MIN, u8::MAX), report, |term, text, report| {
        let kind = Named {
            what: "protocol",
            largest: "the largest protocol number is 255",
        };
        kind.range(protocol(text), field::protocols(), term, text, report)
    })
}

/// The protocols that a literal of `proto` stands for.
pub(crate) fn protocol(text: &str) -> Result<(u8, u8), NumberError> {
    match field::protocol_number(text) {
        Some(number) => Ok((number, number)),
        None => number::range(text),
    }
}
