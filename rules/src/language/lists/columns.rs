//! Lines of columns, and what may be an address in them.

use super::entry::{LineError, LineForm, ListLine};
use crate::field::{AddressError, AddressRange, Addresses};

/// The fields between separators. A field in quotes may contain separators; `None` is one whose quotes do not
/// end.
pub(super) fn fields(content: &[u8], separator: u8) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(content);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = text.trim_ascii_start().starts_with(b"\"");
        let opening = text.iter().position(|byte| *byte == b'"');
        let end = text.iter().enumerate().position(|(at, byte)| {
            if *byte == b'"' && Some(at) != opening {
                // Of a pair, which stands for one in the field, the second opens the quotes again.
                is_quoted = !is_quoted;
            }
            *byte == separator && !is_quoted
        });
        rest = end.and_then(|end| text.get(end + 1..));
        let (field, _) = text.split_at(end.unwrap_or(text.len()));
        Some((!is_quoted).then(|| unquoted(field)))
    })
}

/// The text in quotes, if the whole field is.
pub(super) fn unquoted(field: &[u8]) -> &[u8] {
    let field = field.trim_ascii();
    let inner = field
        .strip_prefix(b"\"")
        .and_then(|inner| inner.strip_suffix(b"\""));
    inner.unwrap_or(field).trim_ascii()
}

/// The only address among columns separated by commas, or the error and whether a column is an address.
pub(super) fn only_address(content: &[u8]) -> Option<Result<ListLine<'_>, (LineError, bool)>> {
    if !content.contains(&b',') {
        return None;
    }
    let mut found: Option<ListLine<'_>> = None;
    let mut fault = None;
    let mut is_after_address = false;
    for field in fields(content, b',') {
        let Some(field) = field else {
            fault.get_or_insert(LineError::Columns);
            break;
        };
        let before = is_after_address.then_some(found).flatten();
        is_after_address = false;
        match ListLine::described(field) {
            Ok(line) => {
                is_after_address = true;
                if found.replace(line).is_some() {
                    fault.get_or_insert(LineError::Columns);
                }
            }
            Err(_) if !resembles_address(field) => {
                if before.is_some_and(|line| could_be_length(line.addresses, field)) {
                    fault.get_or_insert(LineError::Length);
                }
            }
            Err(LineError::Address(AddressError::NotAnAddress)) => {
                fault.get_or_insert(LineError::Columns);
            }
            Err(error) => {
                fault.get_or_insert(error);
            }
        }
    }
    match (fault, found) {
        (Some(fault), found) => Some(Err((fault, found.is_some()))),
        (None, Some(line)) => Some(Ok(ListLine {
            rest: content,
            form: LineForm::Columns,
            ..line
        })),
        (None, None) => None,
    }
}

/// The column of this number, counted from 1, between tabs; if the line has none, between commas, semicolons
/// or white space.
pub(super) fn column(content: &[u8], number: usize) -> Option<&[u8]> {
    let separator = [b'\t', b',', b';']
        .into_iter()
        .find(|separator| content.contains(separator));
    let at = number.checked_sub(1)?;
    match separator {
        Some(separator) => fields(content, separator).nth(at)?,
        None => content
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(unquoted)
            .nth(at),
    }
}

/// Whether a line consists of titles of columns, between tabs or commas.
pub(super) fn are_titles(content: &[u8]) -> bool {
    let is_title =
        |field: Option<&[u8]>| field.is_some_and(|field| field.is_empty() || is_title(field));
    let separator = [b'\t', b',']
        .into_iter()
        .find(|separator| content.contains(separator));
    separator.is_some_and(|separator| fields(content, separator).all(is_title))
}

/// Whether a text is the title of a column: it begins like a name, and has nothing of an address.
pub(super) fn is_title(field: &[u8]) -> bool {
    let begins_like_name = field
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    begins_like_name && !field.contains(&b':') && !resembles_address(field)
}

/// Whether a text contains something like an address, valid or not: four numbers with dots, or groups with two
/// colons together or with seven.
pub(super) fn resembles_address(text: &[u8]) -> bool {
    let is_dotted = |part: &[u8]| {
        let is_numeric = part
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let numbers = part.split(|byte| *byte == b'.');
        is_numeric && numbers.filter(|number| !number.is_empty()).count() >= 4
    };
    let is_grouped = |word: &[u8]| {
        let is_of_groups = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let groups = word.split(|byte| !is_of_groups(byte)).next();
        groups.is_some_and(|groups| {
            groups.windows(2).any(|pair| pair == b"::")
                || groups.iter().filter(|byte| **byte == b':').count() == 7
        })
    };
    let ends_part = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_');
    let ends_word =
        |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'[' | b'(' | b'=');
    text.split(ends_part).any(is_dotted) || text.split(ends_word).any(is_grouped)
}

/// Whether a number after an address could be the length of a shorter prefix that begins there.
pub(super) fn could_be_length(addresses: Addresses, number: &[u8]) -> bool {
    let length = str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse::<u32>().ok());
    let Some(length) = length else {
        return false;
    };
    match addresses.range {
        AddressRange::V4(first, last) => {
            first == last && length < u32::BITS && first & (u32::MAX >> length) == 0
        }
        AddressRange::V6(first, last) => {
            first == last && length < u128::BITS && first & (u128::MAX >> length) == 0
        }
    }
}

/// Whether a comment after `;` could be more columns, of which one is an address or a number.
pub(super) fn could_be_columns(comment: &[u8]) -> bool {
    let Some(columns) = comment.trim_ascii_start().strip_prefix(b";") else {
        return false;
    };
    let is_glued = comment.starts_with(b";") && columns.first().is_some_and(u8::is_ascii_digit);
    is_glued
        || columns
            .split(|byte| *byte == b';')
            .map(unquoted)
            .any(|column| !column.contains(&b' ') && resembles_address(column))
}
