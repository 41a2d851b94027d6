//! The forms in which packets are written.

use std::path::PathBuf;

/// A form of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A line of words each, on stdout.
    Text,
    /// A line of JSON each, on stdout.
    Json,
    /// A capture file.
    Pcapng(Target),
}

/// Where a capture file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To stdout.
    Stdout,
    /// To a file, in place of what it had.
    File(PathBuf),
}

impl Target {
    /// The target that an operand names: `-` is stdout.
    pub(super) fn new(path: PathBuf) -> Self {
        if path.as_os_str() == "-" {
            Self::Stdout
        } else {
            Self::File(path)
        }
    }
}
