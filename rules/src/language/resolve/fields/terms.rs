//! The terms of a field: from positive and negated values to a set.

use crate::{
    diagnostics::{Code, Report},
    field::{RangeSet, Value},
    language::syntax::{Field, Operand, Term},
};

/// Whether a term of the field is not negated. Without such a term, the field matches everything
/// that the negated ones leave.
pub(super) fn has_positive(field: &Field<'_>) -> bool {
    field.terms.iter().any(|term| !term.split().0)
}

/// The positive ranges, or everything when no term `has_positive` ones, less the negative ranges.
pub(super) fn combine<T: Value>(
    positive: Vec<(T, T)>,
    negative: Vec<(T, T)>,
    has_positive: bool,
) -> RangeSet<T> {
    combine_within((T::MIN, T::MAX), positive, negative, has_positive)
}

/// Like [`combine`], of a field whose values are those of `all`.
pub(super) fn combine_within<T: Value>(
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
pub(super) fn values<T: Value>(
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
pub(super) fn literal<'t>(
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
