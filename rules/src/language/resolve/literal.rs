//! Literals that several fields share, and the reports about wrong ones.

use crate::{
    diagnostics::{Code, Diagnostic, Report},
    field::{AddressError, AddressRange, Addresses, address},
    language::syntax::Term,
    text::{NumberError, number, quoted},
};

/// Reads `text`, which is `term` less its operators, as addresses.
pub(super) fn address(term: &Term<'_>, text: &str, report: &mut Report) -> Option<AddressRange> {
    let Addresses { range, is_mapped } = address::read(text.as_bytes())
        .map_err(|error: AddressError| {
            let diagnostic = invalid("address", term, text, &error.to_string(), report);
            if let Some(help) = error.help() {
                diagnostic.help(help);
            }
        })
        .ok()?;
    if is_mapped {
        let message = format!("{} is read as the IPv4 address `{range}`", quoted(text));
        report
            .add(Code::MappedAddress, term.span, message)
            .label("no packet has an IPv4-mapped IPv6 address")
            .help(format!("write `{range}`"));
    }
    Some(range)
}

/// Reads `text`, which is `term` less its operators, as ports.
pub(super) fn port(term: &Term<'_>, text: &str, report: &mut Report) -> Option<(u16, u16)> {
    number::range(text)
        .map_err(|error| {
            let diagnostic = invalid("port", term, text, number_fault(error), report);
            if error == NumberError::TooLarge {
                diagnostic.help("the largest port is 65535");
            } else if let Some((first, last)) = text.split_once(':')
                && is_number(first)
                && is_number(last)
            {
                diagnostic.help(format!("write a range with `-`: `{first}-{last}`"));
            }
        })
        .ok()
}

/// Reports that `text`, which is `term` less its operators, is not a `what`.
pub(super) fn invalid<'r>(
    what: &str,
    term: &Term<'_>,
    text: &str,
    fault: &str,
    report: &'r mut Report,
) -> &'r mut Diagnostic {
    let message = format!("invalid {what} {}", quoted(text));
    let diagnostic = report
        .add(Code::InvalidValue, term.span, message)
        .label(fault);
    if let Some(list) = as_list(text) {
        diagnostic.help(format!("write several values as a list: `{list}`"));
    }
    diagnostic
}

/// A text of several values with commas between them as a list.
fn as_list(text: &str) -> Option<String> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_value = |item: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-./:@!_*".contains(c);
        !item.is_empty() && item.chars().all(is_plain)
    };
    if items.len() < 2 || text.len() > 64 || !items.iter().all(is_value) {
        return None;
    }
    let items: Vec<String> = items
        .iter()
        .map(|item| {
            if is_number(item) {
                (*item).to_owned()
            } else {
                format!("\"{item}\"")
            }
        })
        .collect();
    Some(format!("[{}]", items.join(", ")))
}

fn is_number(text: &str) -> bool {
    number::single::<u16>(text).is_ok()
}

/// The fault of a text that should be a number or a range.
pub(super) const fn number_fault(error: NumberError) -> &'static str {
    match error {
        NumberError::NotANumber => "expected a number or a range",
        NumberError::TooLarge => "the number is too large",
        NumberError::Backwards => "the range ends before it starts",
    }
}
