//! The fields that are numbers of the IP header, and `fragment`.

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

/// Whether fragments are meant, or all other packets.
pub(super) fn fragment(field: &Field<'_>) -> Option<bool> {
    let [term] = field.terms.as_slice() else {
        return None;
    };
    Some(term.text == "true")
}
