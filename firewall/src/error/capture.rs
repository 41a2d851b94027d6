//! Why packets cannot be captured.

use std::{io, path::PathBuf};

/// Why packets cannot be captured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// A capture file is no text.
    #[error("a capture file is not written to a terminal")]
    Terminal,
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection was closed in the midst of it.
    #[error("the daemon broke the capture off")]
    BrokenOff,
}

impl CaptureError {
    /// What the user can do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Terminal => Some(
                "name a file, or read it as in `firewall capture --write - | tcpdump -r -`".into(),
            ),
            Self::File { .. } => None,
            Self::BrokenOff => Some(
                "it was killed, or the packets were not read for a minute; `firewall status` tells"
                    .into(),
            ),
        }
    }
}
