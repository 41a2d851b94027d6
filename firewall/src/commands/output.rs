//! The output of commands, on stdout.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::error::Error;

/// Prints text.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

/// Prints text for a command whose exit status says what the text says, which holds even if the
/// reader has closed the output.
pub(super) fn print_result(text: &str) -> Result<(), Error> {
    match print(text) {
        Err(error) if error.is_closed_output() => Ok(()),
        printed => printed,
    }
}

/// Writes a value as JSON over several lines.
pub(super) fn json(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string_pretty(value);
    Ok(json.map_err(|error| Error::Output(error.into()))? + "\n")
}
