//! Errors in reading files.

use std::{io, path::PathBuf};

use rules::captures::CaptureError;

/// The reason why a file of rules, packets or addresses cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line does not have the required form.
    #[error("{}:{line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A capture file does not have the required form.
    #[error("`{}`: {fault}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: CaptureError,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// The line ends early.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// A field does not have the required form.
    #[error("`{text}` is no {field}")]
    Invalid {
        /// The name of the field.
        field: &'static str,
        /// Its text.
        text: String,
    },
    /// A prefix has bits set after its length.
    #[error("`{0}` has bits set behind its length")]
    HostBits(String),
    /// The line continues after its last field.
    #[error("nothing is expected before `{0}`")]
    LeftOver(String),
}

impl Fault {
    pub(super) fn invalid(field: &'static str, text: &str) -> Self {
        Self::Invalid {
            field,
            text: text.to_owned(),
        }
    }
}
