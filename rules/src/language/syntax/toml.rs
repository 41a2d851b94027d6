//! From the bytes of a rule file to a TOML tree.

use std::str;

use toml::{
    Spanned,
    de::{DeTable, Error},
};

use crate::{
    diagnostics::{Code, Report, Source},
    text::quoted,
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

/// Reports what is not TOML: on each line the first error, of which others are mostly echoes.
fn report_toml(source: &Source, mut errors: Vec<Error>, report: &mut Report) {
    let start = |error: &Error| error.span().unwrap_or_default().start;
    errors.sort_by_key(start);
    errors.dedup_by_key(|error| source.place(start(error)).line);
    let more = errors.len().saturating_sub(MAX_TOML_ERRORS);
    errors.truncate(MAX_TOML_ERRORS);
    for (index, error) in errors.iter().enumerate() {
        let span = error.span().unwrap_or_default();
        let diagnostic = report.add(Code::Toml, span.into(), error.message());
        let misread = ["float", "integer", "number", "date", "time"];
        if misread.iter().any(|word| error.message().contains(word)) {
            diagnostic.help("addresses, ranges and names are written in quotes");
        }
        if more > 0 && index == MAX_TOML_ERRORS - 1 {
            diagnostic.note(format!("there are errors on {more} more lines"));
        }
    }
}
