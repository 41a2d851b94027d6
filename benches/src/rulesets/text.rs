//! Text files, plain or compressed with gzip, and the fields of their lines.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    str::SplitWhitespace,
};

use flate2::read::MultiGzDecoder;

use super::{Fault, ReadError};

/// Reads a file, decompressing it if it begins like gzip (RFC 1952 section 2.3.1).
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let failed = |source| ReadError::File {
        path: PathBuf::from(path),
        source,
    };
    let bytes = fs::read(path).map_err(failed)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut plain)
        .map_err(failed)?;
    Ok(plain)
}

/// Reads a text file, as [`read_bytes`] does.
pub(super) fn read(path: &Path) -> Result<String, ReadError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| ReadError::File {
        path: PathBuf::from(path),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// Reads every line that is not blank.
pub(super) fn lines<T>(
    text: &str,
    path: &Path,
    mut parse: impl FnMut(&mut Words<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, ReadError> {
    let mut values = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let mut words = Words(text.split_whitespace());
        let value = parse(&mut words).and_then(|value| words.end().map(|()| value));
        values.push(value.map_err(|fault| ReadError::Line {
            path: PathBuf::from(path),
            line,
            fault,
        })?);
    }
    Ok(values)
}

/// The remaining words of a line.
pub(super) struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    /// The next word, which is the field with this name.
    pub(super) fn next(&mut self, field: &'static str) -> Result<&'a str, Fault> {
        self.0.next().ok_or(Fault::Missing(field))
    }

    /// The next word, converted by `parse`.
    pub(super) fn parse<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        let word = self.next(field)?;
        parse(word).ok_or_else(|| Fault::invalid(field, word))
    }

    /// The same for a field that may be missing together with all later ones.
    pub(super) fn optional<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.parse(field, parse) {
            Ok(value) => Ok(Some(value)),
            Err(Fault::Missing(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.0.next() {
            None => Ok(()),
            Some(word) => Err(Fault::LeftOver(word.to_owned())),
        }
    }
}
