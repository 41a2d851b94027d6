//! Why a packet cannot be explained.

use std::{io, path::PathBuf};

use rules::diagnostics::Diagnostic;

/// Why packets cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    /// The packet is not in the notation.
    #[error("the packet cannot be read")]
    Packet(Box<Diagnostic>),
    /// The capture cannot be opened.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The capture cannot be read.
    #[error("cannot read the capture `{}`", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rules::captures::CaptureError,
    },
    /// The capture does not have the packet.
    #[error("the capture `{}` has no such packet, but {count}", path.display())]
    NoPacket {
        /// The file.
        path: PathBuf,
        /// How many packets it has.
        count: usize,
    },
    /// An interface cannot have this name.
    #[error("`{0}` is no name of an interface")]
    Interface(String),
    /// Walker and evaluator disagree.
    #[error("the walker and the reference evaluator disagree: this is a defect of this software")]
    Disagreement,
}

impl ExplainError {
    /// What is wrong with the packet.
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Packet(diagnostic) => std::slice::from_ref(diagnostic),
            Self::Read { .. }
            | Self::Capture { .. }
            | Self::NoPacket { .. }
            | Self::Interface(_)
            | Self::Disagreement => &[],
        }
    }
}
