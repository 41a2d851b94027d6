//! The fields `interface` and `in_interface`.

use super::terms::literal;
use crate::{
    diagnostics::Report,
    field::InterfaceMatch,
    language::{resolve::interface::interface_pattern, syntax::Field},
};

pub(super) fn interface(field: &Field<'_>, report: &mut Report) -> Option<InterfaceMatch> {
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
