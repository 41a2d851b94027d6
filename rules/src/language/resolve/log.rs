//! The key `log` of a rule, of the policy, the parser and the bans.

use std::num::NonZeroU32;

use firewall_ebpf::packet_log::MAX_LOGGING;

use crate::{
    diagnostics::{Code, Report, Span, suggest},
    language::syntax::{Log, Term},
    model::{LogLimit, Per},
    text::{NumberError, number, quoted},
};

/// Reads the limit, `None` if nothing is logged.
pub(super) fn limit(written: &Log<'_>, report: &mut Report) -> Option<LogLimit> {
    match written {
        Log::Flag(false) => None,
        Log::Flag(true) => Some(LogLimit::USUAL),
        Log::Limit {
            rate,
            burst,
            journal,
        } => {
            let usual = LogLimit::USUAL;
            let rate = rate.as_ref().map(|term| rate_of(term, report));
            let burst = burst
                .as_ref()
                .map(|term| positive("burst", term, &term.text, LogLimit::MAX_BURST, report));
            let (events, per) = rate.unwrap_or(Some((usual.events, usual.per)))?;
            Some(LogLimit {
                events,
                per,
                burst: burst.unwrap_or(Some(usual.burst))?,
                journal: *journal,
            })
        }
    }
}

/// Reports the rules that log beyond [`MAX_LOGGING`], of which there are `logging`.
pub(super) fn check_number(logging: &[Span], report: &mut Report) {
    if let Some(first) = logging.get(MAX_LOGGING as usize) {
        let rules = logging.len();
        report
            .add(
                Code::InvalidValue,
                *first,
                format!("{rules} rules log, more than {MAX_LOGGING}"),
            )
            .help("one `count` rule in front of many can log for all of them");
    }
}

/// A number per second, or a number with a unit of time after `/`.
fn rate_of(term: &Term<'_>, report: &mut Report) -> Option<(NonZeroU32, Per)> {
    let (number, per) = match term.text.split_once('/') {
        None => (term.text.as_ref(), Per::Second),
        Some((number, unit)) => {
            let Some(per) = Per::ALL.into_iter().find(|per| per.as_str() == unit) else {
                let message = format!("unknown unit of time {}", quoted(unit));
                let diagnostic = report.add(Code::InvalidValue, term.span, message);
                suggest(diagnostic, unit, Per::ALL.map(Per::as_str));
                return None;
            };
            (number, per)
        }
    };
    let events = positive("rate", term, number, LogLimit::MAX_EVENTS, report)?;
    Some((events, per))
}

fn positive(
    key: &str,
    term: &Term<'_>,
    text: &str,
    most: u32,
    report: &mut Report,
) -> Option<NonZeroU32> {
    let number = match number::single::<u32>(text) {
        Ok(number) => NonZeroU32::new(number).filter(|number| number.get() <= most),
        Err(NumberError::NotANumber | NumberError::TooLarge | NumberError::Backwards) => None,
    };
    if number.is_none() {
        let message = format!("invalid {key} {}", quoted(text));
        report
            .add(Code::InvalidValue, term.span, message)
            .help(format!(
                "`{key}` is a number from 1 to {most}{}",
                if key == "rate" {
                    ", a second or as in `\"10/minute\"`"
                } else {
                    ""
                }
            ));
    }
    number
}
