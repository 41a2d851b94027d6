//! From the bytes of a rule file to a TOML tree.

use std::str;

use toml::{
    Spanned,
    de::{DeTable, Error},
};

use crate::{
    diagnostics::{Code, Report, Source},
    text::{counted, quoted},
};

/// The maximum number of lines that are reported when a file is not TOML.
const MAX_TOML_ERRORS: usize = 10;

/// Reads the TOML of a rule file, reporting all that is wrong with it. `None` when so much is
/// wrong that what was read may not be what was written.
pub(crate) fn tree<'a>(source: &'a Source, report: &mut Report) -> Option<Spanned<DeTable<'a>>> {
    let text = match str::from_utf8(source.bytes()) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            report.add(
                Code::NotUtf8,
                (at..at + 1).into(),
                "the rule file is not UTF-8",
            );
            return None;
        }
    };
    let (tree, errors) = DeTable::parse_recoverable(text);
    let is_duplicate = |error: &Error| error.message() == "duplicate key";
    let (duplicates, errors): (Vec<_>, Vec<_>) = errors.into_iter().partition(is_duplicate);
    for error in duplicates {
        let span = error.span().unwrap_or_default();
        let key = quoted(text.get(span.clone()).unwrap_or_default());
        report.add(
            Code::DuplicateKey,
            span.into(),
            format!("the key {key} is given twice"),
        );
    }
    let is_whole = errors.is_empty();
    report_toml(source, errors, report);
    is_whole.then_some(tree)
}

/// Reports what is not TOML: on each line the first error, of which others are mostly echoes, as are
/// errors about a list on all lines after the one that leaves it open.
fn report_toml(source: &Source, mut errors: Vec<Error>, report: &mut Report) {
    let start = |error: &Error| error.span().unwrap_or_default().start;
    errors.sort_by_key(start);
    errors.dedup_by_key(|error| source.place(start(error)).line);
    errors.dedup_by(|error, before| {
        is_of_open_list(error) && (is_of_open_list(before) || is_of_open_string(before))
    });
    let more = errors.len().saturating_sub(MAX_TOML_ERRORS);
    errors.truncate(MAX_TOML_ERRORS);
    for (index, error) in errors.iter().enumerate() {
        let span = error.span().unwrap_or_default();
        let diagnostic = report.add(Code::Toml, span.into(), error.message());
        if let Some(help) = help(source, error) {
            diagnostic.help(help);
        }
        if more > 0 && index == MAX_TOML_ERRORS - 1 {
            diagnostic.note(format!(
                "there are errors on {}",
                counted(more, "more line")
            ));
        }
    }
}

/// Whether a list has no comma where it must have one, as when its `]` is missing.
fn is_of_open_list(error: &Error) -> bool {
    error.message().contains("missing comma between array")
}

/// Whether a string has no quote at its end.
fn is_of_open_string(error: &Error) -> bool {
    let message = error.message();
    message.starts_with("invalid basic string") || message.starts_with("invalid literal string")
}

/// What was probably meant.
fn help(source: &Source, error: &Error) -> Option<String> {
    let message = error.message();
    let span = error.span().unwrap_or_default();
    let (start, line) = source.line(span.start);
    let (before, rest) = line.split_at_checked(span.start.saturating_sub(start))?;
    let [before, rest] = [before, rest].map(|part| str::from_utf8(part).unwrap_or_default().trim());
    if message.starts_with("string values must be quoted") {
        let value = source.bytes().get(span).unwrap_or_default();
        let value = str::from_utf8(value).ok()?;
        return Some(format!(
            "write it in quotes: {}",
            quoted(&format!("\"{value}\""))
        ));
    }
    if is_of_open_string(error) {
        return Some("a string ends with the quote that it begins with".to_owned());
    }
    if is_of_open_list(error) {
        return Some("is a `,` missing here, or the `]` of a list before it?".to_owned());
    }
    if let Some(meant) = of_yaml(before, rest) {
        return Some(format!(
            "key and value are joined by `=`: {}",
            quoted(&meant)
        ));
    }
    if before == "-" {
        return Some("a rule begins with `[[rule]]`, and its keys follow without `-`".to_owned());
    }
    if message.starts_with("key with no value") {
        return Some("key and value are joined by `=`, as in `dport = 23`".to_owned());
    }
    let misread = ["float", "integer", "number", "date", "time"];
    let is_misread = misread.iter().any(|word| message.contains(word));
    (is_misread && !message.contains("key"))
        .then(|| "addresses, ranges and names are written in quotes".to_owned())
}

/// What the line of YAML with these parts before and after an error means, if it is one.
fn of_yaml(before: &str, rest: &str) -> Option<String> {
    let (key, value) = match (before.strip_suffix(':'), rest.strip_prefix(':')) {
        (Some(key), None) => (key, rest),
        (None, Some(value)) => (before, value.trim()),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if key.is_empty() || !key.chars().all(is_key) {
        return None;
    }
    let is_value = value.starts_with(['"', '\'', '[', '{'])
        || value.parse::<u64>().is_ok()
        || matches!(value, "true" | "false");
    Some(if is_value {
        format!("{key} = {value}")
    } else {
        format!("{key} = \"{value}\"")
    })
}
