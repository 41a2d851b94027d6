//! List files: one address, prefix or range a line.
//!
//! This module owns the form of list files and how fast they are read: a blocklist has a million
//! lines. It does not know which set a file is for.

use std::sync::Arc;

use crate::{
    diagnostics::{Code, Diagnostic, Source, Span},
    field::{AddressError, AddressRange, AddressSet, Ranges, address},
    text::quoted,
};

/// The most lines of one file that are reported one by one.
const MAX_REPORTED: usize = 10;

/// Reads the addresses of a list file.
///
/// Each line holds an address, a prefix or a range of either family, or nothing. A comment runs
/// from `#` or `;` to the end of its line and may be of any encoding. Spaces and tabs around
/// addresses, carriage returns before line feeds, and a byte order mark at the start are ignored.
///
/// # Errors
///
/// A diagnostic for each of the first ten lines that hold anything else, the last of which says
/// how many more there are; or one that says that the file holds no address at all.
pub fn parse(source: &Arc<Source>) -> Result<AddressSet, Vec<Diagnostic>> {
    let bytes = source.bytes();
    let mut ranges = Ranges::default();
    let mut diagnostics = Vec::new();
    let mut refused = 0_usize;
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    while !rest.is_empty() {
        // Nearly all lines of large lists are a single IPv4 address and nothing else.
        if let Some((address, [b'\n', tail @ ..])) = address::ipv4(rest) {
            ranges.v4.push((address, address));
            rest = tail;
            continue;
        }
        let start = bytes.len() - rest.len();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        rest = rest.get(line.len() + 1..).unwrap_or_default();
        match parse_line(line) {
            Ok(None) => {}
            Ok(Some(range)) => ranges.push(range),
            Err(error) => {
                refused += 1;
                if refused <= MAX_REPORTED {
                    diagnostics.push(refusal(source, start, line, &error));
                }
            }
        }
    }
    if let Some(last) = diagnostics.last_mut() {
        if let more @ 1.. = refused.saturating_sub(MAX_REPORTED) {
            let lines = if more == 1 { "line" } else { "lines" };
            last.note(format!("{more} more {lines} of this file cannot be read"));
        }
        return Err(diagnostics);
    }
    let set = ranges.into_set();
    if set.v4.is_empty() && set.v6.is_empty() {
        let message = "the list holds no addresses";
        let span = Span::from(0..0);
        return Err(vec![Diagnostic::new(Code::EmptySet, source, span, message)]);
    }
    Ok(set)
}

fn parse_line(line: &[u8]) -> Result<Option<AddressRange>, AddressError> {
    match content(line) {
        [] => Ok(None),
        content => address::parse(content).map(Some),
    }
}

/// The members of a list file that can be read, and where each stands.
pub(crate) fn members(source: &Source) -> impl Iterator<Item = (Span, AddressRange)> {
    let bytes = source.bytes();
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let lines = bytes
        .get(mark..)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n');
    let lines = lines.scan(mark, |next, line| {
        let start = *next;
        *next += line.len() + 1;
        Some((start, line))
    });
    lines.filter_map(|(start, line)| {
        let range = parse_line(line).ok()??;
        let first = start + line.len() - line.trim_ascii_start().len();
        Some((Span::from(first..first + content(line).len()), range))
    })
}

/// The line without comment and the white space around.
fn content(line: &[u8]) -> &[u8] {
    line.split(|byte| matches!(byte, b'#' | b';'))
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

fn refusal(source: &Arc<Source>, start: usize, line: &[u8], error: &AddressError) -> Diagnostic {
    let indent = line.len() - line.trim_ascii_start().len();
    let content = content(line);
    let first = start + indent;
    let span = Span::from(first..first + content.len());
    let text = quoted(&String::from_utf8_lossy(content));
    let message = format!("invalid address {text}");
    let mut diagnostic = Diagnostic::new(Code::InvalidValue, source, span, message);
    diagnostic.label(error.to_string());
    diagnostic.help = error.help();
    diagnostic
}
