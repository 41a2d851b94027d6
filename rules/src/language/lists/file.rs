//! List files: one address, prefix or range per line.
//!
//! This module owns the form of list files, and reads them fast, because a blocklist can have a
//! million lines. It does not know for which set a file is read.

use std::{num::NonZeroUsize, sync::Arc};

use super::{
    columns,
    entry::{LineError, LineForm, ListLine},
    line::{self, content},
};
use crate::{
    diagnostics::{Code, Diagnostic, Source, Span},
    field::{AddressRange, AddressSet, Addresses, Ranges, address},
    text::{counted, grouped, quoted},
};

/// The maximum number of lines of one file that are reported one by one.
const MAX_REPORTED: usize = 10;

/// The number of bad lines that may be skipped even if they are more than 1% of the file.
const MAX_SKIPPED: usize = 10;

/// Options for reading a list file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListOptions {
    /// The column with the addresses, counted from 1. Without it, the form of each line determines
    /// where they are.
    pub column: Option<NonZeroUsize>,
    /// Whether a few lines that cannot be read are skipped, with a warning.
    pub skips_bad_lines: bool,
    /// Whether the list may be without members, with a warning.
    pub may_be_empty: bool,
}

/// The contents of a list file.
#[derive(Clone, Debug)]
pub struct List {
    /// The addresses.
    pub set: AddressSet,
    /// The number of lines with addresses.
    pub members: usize,
    /// The warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the addresses of a list file, of which each line is as [`line`](super::line()) reads it.
///
/// # Errors
///
/// As for [`parse_with`].
pub fn parse(source: &Arc<Source>) -> Result<AddressSet, Vec<Diagnostic>> {
    parse_with(source, ListOptions::default()).map(|list| list.set)
}

/// Reads the addresses of a list file.
///
/// # Errors
///
/// A diagnostic for each of the first ten lines that cannot be read, the last of which says how
/// many more there are; or one that says that the file contains no address.
pub fn parse_with(source: &Arc<Source>, options: ListOptions) -> Result<List, Vec<Diagnostic>> {
    let bytes = source.bytes();
    let mut ranges = Ranges::default();
    let mut reading = Reading::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        // Nearly all lines of large lists consist of a single IPv4 address.
        if options.column.is_none_or(|column| column.get() == 1)
            && let Some((address, [b'\n', tail @ ..])) = address::ipv4(rest)
        {
            ranges.v4.push((address, address));
            reading.members += 1;
            reading.has_begun = true;
            rest = tail;
            continue;
        }
        let start = bytes.len() - rest.len();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        rest = rest.get(line.len() + 1..).unwrap_or_default();
        match member(line, options, !reading.has_begun) {
            Ok(LineContent::Nothing) => continue,
            Ok(LineContent::Ignored) => {}
            Ok(LineContent::Member(_, addresses)) => {
                reading.member(source, start, line, addresses);
                ranges.push(addresses.range);
            }
            Err((error, text)) => reading.refuse(source, start, line, text, &error),
        }
        reading.has_begun = true;
    }
    let set = ranges.into_set();
    let members = reading.members;
    let warnings = reading.finish(source, &set, options)?;
    Ok(List {
        set,
        members,
        warnings,
    })
}

/// The state while a file is read.
#[derive(Default)]
struct Reading {
    /// Whether a line had content.
    has_begun: bool,
    members: usize,
    refused: usize,
    /// The first of those lines.
    refusals: Vec<Diagnostic>,
    mapped: usize,
    /// The first of the members in the IPv6 form of IPv4 addresses.
    first_mapped: Option<Diagnostic>,
}

impl Reading {
    fn member(&mut self, source: &Arc<Source>, start: usize, line: &[u8], addresses: Addresses) {
        self.members += 1;
        if !addresses.is_mapped {
            return;
        }
        self.mapped += 1;
        self.first_mapped.get_or_insert_with(|| {
            let text = line.trim_ascii();
            Diagnostic::new(Code::MappedAddress, source, span_of(start, line, text), "")
        });
    }

    fn refuse(
        &mut self,
        source: &Arc<Source>,
        start: usize,
        line: &[u8],
        text: &[u8],
        error: &LineError,
    ) {
        self.refused += 1;
        if self.refused > MAX_REPORTED {
            return;
        }
        let shown = quoted(&String::from_utf8_lossy(text));
        let message = format!("invalid address {shown}");
        let span = span_of(start, line, text);
        let mut diagnostic = Diagnostic::new(Code::InvalidValue, source, span, message);
        diagnostic.label(error.to_string());
        diagnostic.help = error.help();
        self.refusals.push(diagnostic);
    }

    /// The warnings, or the errors.
    fn finish(
        mut self,
        source: &Arc<Source>,
        set: &AddressSet,
        options: ListOptions,
    ) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let mut warnings = Vec::new();
        let most = MAX_SKIPPED.max((self.members + self.refused) / 100);
        let is_skipped = options.skips_bad_lines && self.refused <= most;
        if let more @ 1.. = self.refused.saturating_sub(self.refusals.len())
            && let Some(last) = self.refusals.last_mut()
        {
            let lines = counted(more, "more line");
            last.note(format!("{lines} of this file cannot be read"));
        }
        if self.refused > 0 && !is_skipped {
            if options.skips_bad_lines
                && let Some(last) = self.refusals.last_mut()
            {
                last.note(format!(
                    "`bad_lines = \"skip\"` skips at most {} of this file, and it has {}",
                    counted(most, "line"),
                    grouped(self.refused as u64)
                ));
            }
            return Err(self.refusals);
        }
        if let Some(first) = self.refusals.into_iter().next() {
            let message = format!(
                "{} of the list cannot be read, and {} skipped",
                counted(self.refused, "line"),
                if self.refused == 1 { "is" } else { "are" }
            );
            let mut warning =
                Diagnostic::new(Code::SkippedLines, source, first.primary.span, message);
            warning.label(first.primary.text);
            warnings.push(warning);
        }
        if let Some(mut warning) = self.first_mapped {
            warning.message = match self.mapped {
                1 => {
                    "1 member has the IPv6 form of an IPv4 address, and is read as that".to_owned()
                }
                count => format!(
                    "{count} members have the IPv6 form of IPv4 addresses, and are read as those"
                ),
            };
            warnings.push(warning);
        }
        if set.v4.is_empty() && set.v6.is_empty() {
            let message = "the list holds no addresses";
            let span = Span::from(0..0);
            if !options.may_be_empty {
                let mut error = Diagnostic::new(Code::EmptySet, source, span, message);
                error.help("write `empty = \"allow\"` beside `file` if that is right at times");
                return Err(vec![error]);
            }
            warnings.push(Diagnostic::new(Code::EmptyListFile, source, span, message));
        }
        Ok(warnings)
    }
}

/// The content of a line that can be read.
enum LineContent<'a> {
    /// White space or a comment.
    Nothing,
    /// A line without members, such as titles of columns.
    Ignored,
    /// A member and its text.
    Member(&'a [u8], Addresses),
}

/// The content of a line, or the fault and the text concerned.
fn member(
    line: &[u8],
    options: ListOptions,
    is_first: bool,
) -> Result<LineContent<'_>, (LineError, &[u8])> {
    if let Some(column) = options.column {
        return match line::column(line, column.get()) {
            Ok(Some(line)) => Ok(LineContent::Member(line.text, line.addresses)),
            Ok(None) => Ok(LineContent::Nothing),
            Err((LineError::Address(_), text)) if is_first && columns::is_title(text) => {
                Ok(LineContent::Ignored)
            }
            Err(error) => Err(error),
        };
    }
    let content = content(line);
    let shown = if content.is_empty() {
        line.trim_ascii()
    } else {
        content
    };
    match line::line(line) {
        Ok(Some(line)) => match fault_after_addresses(&line) {
            Some(error) => Err((error, shown)),
            None => Ok(LineContent::Member(line.text, line.addresses)),
        },
        Ok(None) if content.is_empty() => Ok(LineContent::Nothing),
        Ok(None) | Err(LineError::Command) => Ok(LineContent::Ignored),
        Err(LineError::Address(_)) if is_first && columns::are_titles(content) => {
            Ok(LineContent::Ignored)
        }
        Err(error) => Err((error, shown)),
    }
}

/// The fault of the text after the addresses, unless it can be ignored in a list, as a count after a tab can.
fn fault_after_addresses(line: &ListLine<'_>) -> Option<LineError> {
    match line.form {
        LineForm::Words { is_tabbed } => {
            let is_count = is_tabbed && line.rest.iter().all(u8::is_ascii_digit);
            if line.rest.is_empty() {
                None
            } else if !is_count {
                Some(LineError::Columns)
            } else {
                columns::could_be_length(line.addresses, line.rest).then_some(LineError::Length)
            }
        }
        LineForm::Ipset | LineForm::Columns | LineForm::Described => None,
    }
}

/// The members of a list file that can be read, and the place of each.
pub(crate) fn members(
    source: &Source,
    options: ListOptions,
) -> impl Iterator<Item = (Span, AddressRange)> {
    let lines = source.bytes().split(|byte| *byte == b'\n');
    let lines = lines.scan(0, |next, line| {
        let start = *next;
        *next += line.len() + 1;
        Some((start, line))
    });
    lines.filter_map(move |(start, line)| match member(line, options, false) {
        Ok(LineContent::Member(text, addresses)) => {
            Some((span_of(start, line, text), addresses.range))
        }
        Ok(LineContent::Nothing | LineContent::Ignored) | Err(_) => None,
    })
}

/// The span in the file of a text that is part of a line.
fn span_of(start: usize, line: &[u8], text: &[u8]) -> Span {
    let at = line
        .windows(text.len().max(1))
        .position(|window| window == text);
    let first = start + at.unwrap_or(0);
    Span::from(first..first + text.len())
}
