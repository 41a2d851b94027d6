//! Why a file cannot be read.

use std::{io, path::PathBuf};

/// Why a file of rules, packets or addresses cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line does not have the form that it must have.
    #[error("{}:{line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A capture file does not have the form that it must have.
    #[error("`{}`: {fault}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: CaptureFault,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// The line ends early.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// A field does not have its form.
    #[error("`{text}` is no {field}")]
    Invalid {
        /// What it is meant to be.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// A prefix has bits set behind its length.
    #[error("`{0}` has bits set behind its length")]
    HostBits(String),
    /// The line goes on behind its last field.
    #[error("nothing is expected before `{0}`")]
    LeftOver(String),
}

/// What is wrong with a capture file.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CaptureFault {
    /// It does not begin as capture files of the classic form do.
    #[error("no capture file of the classic form")]
    NoCapture,
    /// It was taken on a link of another type.
    #[error("taken on a link of the type `{0}`, which is not Ethernet")]
    NotEthernet(u32),
    /// It ends within a frame.
    #[error("the frame at byte {offset} is cut off")]
    Cut {
        /// Where the frame's record begins.
        offset: usize,
    },
}

impl Fault {
    pub(super) fn invalid(field: &'static str, text: &str) -> Self {
        Self::Invalid {
            field,
            text: text.to_owned(),
        }
    }
}
