//! The output of commands, on stdout.
//!
//! Names and other text of files come from others: what cannot be seen in it is printed as escapes.

use std::io::{self, Write as _};

use rules::text::{escaped_json, escaped_lines};
use serde::Serialize;

use crate::{error::Error, logging::colors};

/// Prints text.
pub(super) fn print(text: &str) -> Result<(), Error> {
    write(&escaped_lines(text))
}

/// Prints findings, with colors if stdout has them.
pub(super) fn print_findings(text: &str) -> Result<(), Error> {
    let text = escaped_lines(text);
    write(&colors::painted_for(&io::stdout(), text))
}

/// Prints text for a command whose exit status says what the text says, which holds even if the
/// reader has closed the output.
pub(super) fn print_result(text: &str) -> Result<(), Error> {
    match print(text) {
        Err(error) if error.is_closed_output() => Ok(()),
        printed => printed,
    }
}

fn write(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

/// Writes a value as JSON over several lines.
pub(super) fn json(value: &impl Serialize) -> Result<String, Error> {
    finished(serde_json::to_string_pretty(value))
}

/// Writes a value as JSON in one line.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, Error> {
    finished(serde_json::to_string(value))
}

fn finished(json: serde_json::Result<String>) -> Result<String, Error> {
    let json = json.map_err(|error| Error::Output(error.into()))?;
    Ok(escaped_json(&json) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_hidden_in_json() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{9b}c" });
        assert_eq!(
            json_line(&value).unwrap(),
            "{\"name\":\"a\\u202eb\\u009bc\"}\n"
        );
        assert_eq!(
            json(&value).unwrap(),
            "{\n  \"name\": \"a\\u202eb\\u009bc\"\n}\n"
        );
    }
}
