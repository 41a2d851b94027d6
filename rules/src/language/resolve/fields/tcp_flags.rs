//! The field `tcp_flags`.

use crate::{
    diagnostics::{Code, Report, suggest},
    field::{self, RangeSet},
    language::{
        resolve::literal::invalid,
        syntax::{Field, Term},
    },
    text::quoted,
};

/// The values of the flags byte that fit one of the terms.
pub(super) fn tcp_flags(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u8>> {
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

/// Reads flags like `syn,!ack`: a flag that is named is set, one after `!` is clear.
fn flag_condition(term: &Term<'_>, report: &mut Report) -> Option<FlagCondition> {
    let mut condition = FlagCondition::default();
    for word in term.text.split(',').map(str::trim) {
        let (side, name) = match word.strip_prefix('!') {
            Some(name) => (&mut condition.clear, name),
            None => (&mut condition.set, word),
        };
        let Some(bit) = field::tcp_flag(name) else {
            let diagnostic = invalid("TCP flag", term, name, "", report);
            suggest(diagnostic, name, field::tcp_flags());
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
