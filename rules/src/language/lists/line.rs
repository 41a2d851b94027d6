//! One line of a list: its addresses, and the words after them.
//!
//! List files and lines on the standard input of `ban` and `unban` share this grammar.

use super::{
    columns,
    comment::{is_comment, without_comment},
    entry::{LineError, LineForm, ListLine, MAX_LINE},
    forms, ipset,
};
use crate::field::{
    AddressError,
    address::{leading, read},
};

/// The byte order mark in UTF-8. Concatenated files may have it at the start of any line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a line. `None` when it is empty or holds only a comment.
///
/// A comment runs from `#`, `;` or `//` to the end of the line, and may be of any encoding. Byte
/// order marks at the start, and spaces and tabs around everything, are ignored. Addresses may have
/// any form of [`read`](crate::field::address::read), also in lines of well-known forms: `ipset
/// save`, P2P (`name:192.0.2.0-192.0.2.255`), DShield, or the only address among columns separated
/// by commas, of which no other resembles one.
///
/// # Errors
///
/// If the line contains anything else, or is ambiguous.
pub fn line(bytes: &[u8]) -> Result<Option<ListLine<'_>>, LineError> {
    let bytes = trimmed(bytes);
    // Most lines of most lists contain only this.
    if let Ok(addresses) = read(bytes) {
        return Ok(Some(ListLine {
            addresses,
            text: bytes,
            rest: b"",
            form: LineForm::Described,
        }));
    }
    if bytes.contains(&b'\r') {
        return Err(LineError::CarriageReturn);
    }
    let content = without_comment(bytes);
    if content.is_empty() {
        return Ok(None);
    }
    if content.len() > MAX_LINE {
        return Err(LineError::TooLong);
    }
    if let Some(found) = forms::by_words(content, bytes) {
        return found;
    }
    let (_, comment) = bytes.split_at(content.len());
    // The name of a P2P line can have semicolons in it.
    let has_columns = columns::could_be_columns(comment);
    if let Ok(line) = ListLine::described(columns::unquoted(content))
        && !has_columns
    {
        return Ok(Some(line));
    }
    let (text, rest) = leading(content);
    let error = match read(text) {
        Ok(_) if rest.first().is_some_and(|byte| matches!(byte, b',')) => {
            AddressError::NotAnAddress
        }
        Ok(_) if has_columns => return Err(LineError::Columns),
        Ok(addresses) if ipset::begins_options(rest) => {
            // A comment of the entry can contain what begins a comment of the line.
            let (_, options) = bytes.split_at(content.len() - rest.len());
            return Ok(Some(ListLine {
                addresses,
                text,
                rest: ipset::timeout(options)?,
                form: LineForm::Ipset,
            }));
        }
        Ok(addresses) => {
            let (separator, _) = content.split_at(content.len() - rest.len());
            return Ok(Some(ListLine {
                addresses,
                text,
                rest,
                form: LineForm::Words {
                    is_tabbed: separator.ends_with(b"\t"),
                },
            }));
        }
        Err(error) => error,
    };
    if let Some(found) = forms::by_separators(content, bytes, &error) {
        return match found {
            Ok(Some(line)) if has_columns && line.form == LineForm::Columns => {
                Err(LineError::Columns)
            }
            found => found,
        };
    }
    if has_columns {
        return Err(LineError::Columns);
    }
    Err(error.into())
}

/// Reads the addresses in a column of a line, counted from 1. `None` when the line is empty or a comment.
pub(super) fn column(
    bytes: &[u8],
    number: usize,
) -> Result<Option<ListLine<'_>>, (LineError, &[u8])> {
    let content = trimmed(bytes);
    if content.is_empty() || is_comment(content) && !content.contains(&b'\r') {
        return Ok(None);
    }
    if content.len() > MAX_LINE {
        return Err((LineError::TooLong, content));
    }
    if content.contains(&b'\r') {
        return Err((LineError::CarriageReturn, content));
    }
    let Some(text) = columns::column(content, number) else {
        return Err((LineError::NoColumn(number), content));
    };
    match read(text) {
        Ok(addresses) => Ok(Some(ListLine {
            addresses,
            text,
            rest: b"",
            form: LineForm::Described,
        })),
        Err(error) => Err((error.into(), text)),
    }
}

/// The line without byte order marks at its start and surrounding white space.
fn trimmed(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK) {
        line = rest;
    }
    line.trim_ascii()
}

/// The words at the start of a line that should name addresses.
#[must_use]
pub fn subject(line: &[u8]) -> &[u8] {
    leading(content(line)).0
}

/// The line without comment, byte order marks and surrounding white space.
#[must_use]
pub fn content(line: &[u8]) -> &[u8] {
    without_comment(trimmed(line))
}
