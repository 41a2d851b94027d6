//! The fields that are numbers of the IP header, and those that are true or false.

use super::{named::Named, terms::values};
use crate::{
    diagnostics::Report,
    field::{Number, RangeSet},
    language::syntax::Field,
};

/// The numbers that a field takes.
pub(super) fn numbers(
    number: &Number,
    field: &Field<'_>,
    report: &mut Report,
) -> Option<RangeSet<u16>> {
    let kind = Named {
        what: number.what,
        largest: number.largest,
    };
    values(field, (0, number.max), report, |term, text, report| {
        kind.range(number.range(text), number.names(), term, text, report)
    })
}

/// Whether the packets that have the property are meant, or all others.
pub(super) fn flag(field: &Field<'_>) -> Option<bool> {
    let [term] = field.terms.as_slice() else {
        return None;
    };
    Some(term.text == "true")
}
