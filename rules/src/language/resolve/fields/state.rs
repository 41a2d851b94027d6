//! The field `state`.

use super::terms::{has_positive, literal};
use crate::{
    diagnostics::{Report, suggest},
    field::{State, StateSet, state_named},
    language::{resolve::literal::invalid, syntax::Field},
};

/// The states that the field takes.
pub(super) fn states(field: &Field<'_>, report: &mut Report) -> Option<StateSet> {
    let (mut positive, mut negative) = (StateSet::default(), StateSet::default());
    let mut is_whole = true;
    for term in &field.terms {
        let Some((negated, text)) = literal(field, term, report) else {
            is_whole = false;
            continue;
        };
        match state_named(text) {
            Some(state) if negated => negative = negative.with(state),
            Some(state) => positive = positive.with(state),
            None => {
                let fault = "the states are `new`, `established`, `related` and `invalid`";
                let diagnostic = invalid("state", term, text, fault, report);
                // Several states in one string are a list.
                if diagnostic.help.is_none() {
                    suggest(diagnostic, text, State::ALL.map(State::as_str));
                }
                is_whole = false;
            }
        }
    }
    let taken = if has_positive(field) {
        positive
    } else {
        StateSet::ALL
    };
    is_whole.then(|| taken.intersection(negative.complement()))
}
