//! Why packets cannot be captured.

use std::{io, path::PathBuf};

use crate::error::UserError;

/// Why packets cannot be captured.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureError {
    /// A capture file is not text.
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
    /// The connection was closed in the middle of it.
    #[error("the daemon broke off the capture")]
    BrokenOff,
}

impl UserError for CaptureError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Terminal => Some(
                "name a file, or pipe it as in `firewall capture --write - | tcpdump -r -`".into(),
            ),
            Self::File { .. } => None,
            Self::BrokenOff => Some(
                "it was killed, or the packets were not read for a minute; `firewall status` shows \
                 which"
                    .into(),
            ),
        }
    }
}
