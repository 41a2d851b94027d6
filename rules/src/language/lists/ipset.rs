//! Entries of `ipset save` and `ipset list`, and their options.

use super::{
    comment::is_comment,
    entry::{LineError, LineForm, ListLine},
};

/// Whether a line with these first words is a command other than `add`.
pub(super) fn is_command(first: &[u8], second: Option<&[u8]>, third: Option<&[u8]>) -> bool {
    match (first, second, third) {
        (b"create", Some(_), Some(kind)) => [&b"hash:"[..], b"bitmap:", b"list:"]
            .iter()
            .any(|known| kind.starts_with(known)),
        (b"flush" | b"destroy", _, None) | (b"COMMIT" | b"quit", None, None) => true,
        (_, _, _) => false,
    }
}

/// Reads `add NAME MEMBER [OPTION]...`, with its comment.
pub(super) fn entry(line: &[u8]) -> Result<ListLine<'_>, LineError> {
    let (_add, after) = first_word(line);
    let (_name, after) = first_word(after);
    let (member, options) = first_word(after);
    Ok(ListLine {
        rest: timeout(options)?,
        form: LineForm::Ipset,
        ..ListLine::described(member)?
    })
}

/// Whether the words after an address are the options of a member of `ipset list`.
pub(super) fn begins_options(rest: &[u8]) -> bool {
    matches!(
        first_word(rest).0,
        b"timeout" | b"packets" | b"bytes" | b"nomatch" | b"skbmark" | b"skbprio" | b"skbqueue"
    )
}

/// The timeout among options in seconds, empty for an entry without end.
pub(super) fn timeout(mut options: &[u8]) -> Result<&[u8], LineError> {
    let mut timeout = None;
    loop {
        let (option, after) = first_word(options);
        options = match option {
            b"nomatch" => return Err(LineError::Exception),
            b"-exist" | b"-!" => after,
            b"comment" => after_text(after).ok_or(LineError::SetOption)?,
            b"timeout" | b"packets" | b"bytes" => {
                let (number, after) = first_word(after);
                let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
                let is_again = option == b"timeout" && timeout.replace(number).is_some();
                if !is_number || is_again {
                    return Err(LineError::SetOption);
                }
                after
            }
            b"skbmark" | b"skbprio" | b"skbqueue" => {
                let (value, after) = first_word(after);
                if value.is_empty() {
                    return Err(LineError::SetOption);
                }
                after
            }
            end if end.is_empty() || is_comment(end) => break,
            _ => return Err(LineError::SetOption),
        };
    }
    // 0 is an entry without end.
    let timeout = timeout.filter(|time| time.iter().any(|digit| *digit != b'0'));
    Ok(timeout.unwrap_or_default())
}

/// What follows a word or a quoted text, which cannot contain quotes.
fn after_text(text: &[u8]) -> Option<&[u8]> {
    match text.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|byte| *byte == b'"')?;
            let after = quoted.get(end + 1..)?;
            let is_end = after.first().is_none_or(u8::is_ascii_whitespace);
            is_end.then(|| after.trim_ascii_start())
        }
        None => {
            let (word, after) = first_word(text);
            (!word.is_empty()).then_some(after)
        }
    }
}

/// The first word, and what follows the white space after it.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace);
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim_ascii_start())
}
