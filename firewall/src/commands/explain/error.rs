//! Why packets cannot be explained.

use std::{io, path::PathBuf};

use rules::diagnostics::Diagnostic;

use crate::error::{ExitStatus, UserError};

/// Why packets cannot be explained.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExplainError {
    /// No rules are named.
    #[error("expected a rule file or `--live`")]
    NoRules,
    /// No packets are named.
    #[error("expected a packet or `--pcap`")]
    NoPackets,
    /// There is an operand too many.
    #[error(
        "unexpected `{0}`: a rule file cannot be combined with `--live`, nor a packet with `--pcap`"
    )]
    Surplus(String),
    /// A packet is given in several words, and what stands after `>` is not among them.
    #[error("the packet `{0}` has no `>`")]
    Unquoted(String),
    /// The packet is not in the notation.
    #[error("the packet cannot be parsed")]
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
    #[error("the capture `{}` has no such packet, only {count}", path.display())]
    NoPacket {
        /// The file.
        path: PathBuf,
        /// How many packets it has.
        count: usize,
    },
    /// A packet out is given a state.
    #[error("`--state` is for packets in")]
    StateOfOut,
    /// A packet that came before does not pass.
    #[error("the packet `{packet}` of `--given` does not pass: {by}")]
    GivenDropped {
        /// The packet.
        packet: String,
        /// What decides.
        by: String,
    },
    /// An interface cannot have this name.
    #[error("`{0}` is not the name of an interface")]
    Interface(String),
    /// Walker and evaluator disagree.
    #[error("internal error: the walker and the reference evaluator disagree")]
    Disagreement,
}

impl UserError for ExplainError {
    fn help(&self) -> Option<String> {
        match self {
            Self::NoRules | Self::NoPackets | Self::Surplus(_) => {
                Some("`firewall explain --help` shows the usage".into())
            }
            Self::Unquoted(_) => Some(
                "write the packet in quotes, as in 'tcp 203.0.113.9:4444 > 192.0.2.1:22 syn': without them the \
                 shell takes `>` and the word after it, and writes the output to a file of that name"
                    .into(),
            ),
            Self::Disagreement => Some("please report this, with the rule file and packet".into()),
            Self::Packet(_)
            | Self::Read { .. }
            | Self::Capture { .. }
            | Self::NoPacket { .. }
            | Self::StateOfOut
            | Self::GivenDropped { .. }
            | Self::Interface(_) => None,
        }
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Packet(diagnostic) => std::slice::from_ref(diagnostic),
            Self::NoRules
            | Self::NoPackets
            | Self::Surplus(_)
            | Self::Unquoted(_)
            | Self::Read { .. }
            | Self::Capture { .. }
            | Self::NoPacket { .. }
            | Self::StateOfOut
            | Self::GivenDropped { .. }
            | Self::Interface(_)
            | Self::Disagreement => &[],
        }
    }

    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoRules
            | Self::NoPackets
            | Self::Surplus(_)
            | Self::Unquoted(_)
            | Self::StateOfOut => ExitStatus::Usage,
            Self::Packet(_)
            | Self::Read { .. }
            | Self::Capture { .. }
            | Self::NoPacket { .. }
            | Self::GivenDropped { .. }
            | Self::Interface(_)
            | Self::Disagreement => ExitStatus::Refused,
        }
    }
}
