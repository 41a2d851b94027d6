//! The meaning of `[flows]`.

use std::time::Duration;

use crate::{
    diagnostics::{Code, Report, Source},
    field::FieldName,
    language::syntax::{File, Term, WrittenFlows},
    model::{Flows, Timeouts},
    text::{duration, grouped, number, quoted},
};

/// The table of flows.
pub(super) fn flows(written: &WrittenFlows<'_>, source: &Source, report: &mut Report) -> Flows {
    let mut flows = Flows::default();
    if let Some(term) = &written.max
        && let Some(max) = max(term, report)
    {
        flows.max = max;
        flows.max_place = Some(source.place(term.span.start));
    }
    for (key, term) in &written.timeouts {
        if let Some((timeout, most)) = flows.timeouts.entry(key)
            && let Some(given) = timeout_of(key, term, most, report)
        {
            *timeout = given;
        }
    }
    flows
}

/// Warns of a table of flows that no rule needs, not even a disabled one.
pub(super) fn warn_of_unused(file: &File<'_>, report: &mut Report) {
    let mut rules = file.rules.iter();
    let is_needed = rules.any(|rule| rule.field(FieldName::State).is_some());
    if let Some(span) = file.flows.span.filter(|_| !is_needed) {
        report
            .add(
                Code::UnusedFlows,
                span,
                "`[flows]` has no effect: no rule asks for the state of a packet",
            )
            .help("leave it out, or add a rule with `state = [\"established\", \"related\"]`");
    }
}

fn max(term: &Term<'_>, report: &mut Report) -> Option<u32> {
    let wanted = number::single::<u64>(&term.text).ok();
    let range = Flows::FEWEST.into()..=Flows::MOST.into();
    let fits = |number: &u64| number.is_power_of_two() && range.contains(number);
    if let Some(max) = wanted.filter(fits) {
        return u32::try_from(max).ok();
    }
    let message = format!("invalid max {}", quoted(&term.text));
    let fault = format!(
        "the slots of the table are a power of two from {} to {}",
        grouped(Flows::FEWEST.into()),
        grouped(Flows::MOST.into())
    );
    let diagnostic = report
        .add(Code::InvalidValue, term.span, message)
        .label(fault);
    if let Some(wanted) = wanted {
        diagnostic.help(format!("write `max = {}`", nearest_power(wanted)));
    }
    None
}

/// The allowed power of two that is nearest to a number; of two equally near, the larger.
fn nearest_power(wanted: u64) -> u64 {
    let wanted = wanted.clamp(Flows::FEWEST.into(), Flows::MOST.into());
    let above = wanted.next_power_of_two();
    let below = above / 2;
    if above - wanted <= wanted - below {
        above
    } else {
        below
    }
}

fn timeout_of(key: &str, term: &Term<'_>, most: Duration, report: &mut Report) -> Option<Duration> {
    let range = Timeouts::SHORTEST..=most;
    let given = duration(&term.text).filter(|given| range.contains(given));
    if given.is_none() {
        let message = format!("invalid timeout {}", quoted(&term.text));
        let hours = most.as_secs() / 3600;
        report
            .add(Code::InvalidValue, term.span, message)
            .help(format!(
                "`{key}` is a time from 4 seconds to {hours} hours, as in `90s`, `1h30m` or `3600`"
            ));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_power_of_two_is_an_allowed_one() {
        for (wanted, nearest) in [
            (0, 1024),
            (1025, 1024),
            (1535, 1024),
            (1536, 2048),
            (50_000, 65_536),
            (100_000, 131_072),
            (65_536, 65_536),
            (u64::MAX, 1 << 24),
        ] {
            assert_eq!(nearest_power(wanted), nearest, "{wanted}");
        }
    }
}
