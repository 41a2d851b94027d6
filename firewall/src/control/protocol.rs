//! The messages on the control socket: each request and each answer is one line.

use std::{
    collections::BTreeSet, fmt::Write as _, io, ops::RangeInclusive, path::PathBuf, time::Duration,
};

use rules::text::escaped;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::{
    bans::{
        guard::MachineAddresses,
        service::{BanOutcome, BanRequest, BanServiceError, UnbanRequest},
    },
    candidate::budget::Budget,
    control::in_force::{InForce, Times},
    error::{Error, ErrorParts, ExitStatus},
    interfaces::unattached::Unattached,
    kernel::generation::Generation,
    lockout::caller::Caller,
    logging::diagnostics::DiagnosticRecord,
    packet_log::{LoggedPacket, Names, drop_captures::DropTally, drop_filter::DropFilter},
    rule_file::fallback::LastGood,
    text::format::counted,
};

/// How long each side waits for the other to write or read.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Query whether the daemon responds, and its state.
    Ping {},
    /// Bring a rule file into force.
    Apply {
        /// The absolute path of the rule file.
        file: PathBuf,
        /// The folder of its lists, if the file is a copy of rules that were given on stdin. It is read
        /// once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        folder: Option<PathBuf>,
        /// The memory limit of an image map from now on; without it the limit of the daemon stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_memory: Option<Budget>,
        /// Whether to wait for named interfaces that do not exist.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        wait: bool,
        /// The time to confirm in milliseconds, if the rules must be confirmed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirm_ms: Option<u64>,
        /// Whether to accept a lockout.
        #[serde(default)]
        force: bool,
        /// The SSH session of the requester, which must not be cut off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<Caller>,
    },
    /// Bring the current rule file into force again.
    Reload {
        /// As in [`Request::Apply`].
        #[serde(default)]
        force: bool,
        /// As in [`Request::Apply`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<Caller>,
    },
    /// Confirm the rules in force.
    Confirm {},
    /// Bring the previous rules back.
    Rollback {
        /// As in [`Request::Apply`].
        #[serde(default)]
        force: bool,
        /// As in [`Request::Apply`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<Caller>,
    },
    /// Unload everything and exit.
    Unload {},
    /// Add bans.
    Ban {
        /// The bans.
        bans: Vec<BanRequest>,
    },
    /// Remove bans.
    Unban(UnbanRequest),
    /// Stream the packets that rules log.
    Capture(CaptureFilter),
    /// Query the addresses that a ban should not cover.
    Addresses {},
}

impl Request {
    /// Whether it is carried out after the orders that came before, and not at once.
    pub(crate) fn is_order(&self) -> bool {
        match self {
            Self::Apply { .. }
            | Self::Reload { .. }
            | Self::Confirm {}
            | Self::Rollback { .. }
            | Self::Unload {} => true,
            Self::Ping {}
            | Self::Ban { .. }
            | Self::Unban(_)
            | Self::Capture(_)
            | Self::Addresses {} => false,
        }
    }
}

/// An answer of the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub(crate) enum Answer {
    /// The state of the daemon.
    Alive {
        /// The process ID of the daemon.
        pid: u32,
        /// The generation in force; `None` while the daemon starts.
        generation: Option<Generation>,
        /// The times of its stages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Times>,
        /// The selected interfaces that are not filtered.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unattached: Vec<Unattached>,
        /// What is wrong with pins, links and the run folder, for people.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        faults: Vec<String>,
        /// Why the rules are not those of the rule file, if they are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_good: Option<LastGood>,
    },
    /// The request was carried out.
    Done {
        /// The result.
        message: String,
        /// The same for programs, of an order for rules.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rules: Option<RulesResult>,
    },
    /// The request was refused or failed.
    Failed(FailedAnswer),
    /// The outcome of a request for bans.
    Bans(BanOutcome),
    /// Packets follow, one a line.
    Capturing {
        /// The requested rules that log.
        rules: Vec<String>,
        /// Without requested rules, the reasons that log.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reasons: Vec<String>,
    },
    /// The addresses that a ban should not cover.
    Addresses(MachineAddresses),
    /// The daemon ends, and does not start or continue the request: the client may try its
    /// successor.
    Ending,
}

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedAnswer {
    /// The error: its message in one line, help, and diagnostics.
    #[serde(flatten)]
    error: Box<ErrorParts>,
    /// The exit status for the client.
    #[serde(default, skip_serializing_if = "ExitStatus::is_default")]
    status: ExitStatus,
    /// The same as text for a terminal, if there is more to it than message and help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<String>,
}

impl FailedAnswer {
    /// The text for a terminal.
    pub(crate) fn report(&self) -> String {
        let report = self.report.clone();
        report.unwrap_or_else(|| self.error.report())
    }

    /// The message.
    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.error.message
    }
}

impl From<FailedAnswer> for Error {
    fn from(failure: FailedAnswer) -> Self {
        Self::Answered {
            report: failure.report(),
            status: failure.status,
            parts: Some(failure.error),
        }
    }
}

/// What an order for rules came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RulesResult {
    /// Whether another generation is in force now.
    pub(crate) changed: bool,
    /// The generation in force.
    pub(crate) generation: Generation,
    /// The time left to confirm it, if it must be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) confirm_seconds: Option<u64>,
    /// The warnings about the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<DiagnosticRecord>,
}

impl From<Result<BanOutcome, BanServiceError>> for Answer {
    fn from(result: Result<BanOutcome, BanServiceError>) -> Self {
        match result {
            Ok(outcome) => Self::Bans(outcome),
            Err(BanServiceError::Ending) => Self::Ending,
            Err(error @ (BanServiceError::Broken(_) | BanServiceError::NotReady)) => {
                Self::refused(format!("error: {error}"))
            }
        }
    }
}

impl Answer {
    /// The answer to a refused request, with the whole report.
    pub(crate) fn refused(report: String) -> Self {
        Self::Failed(FailedAnswer {
            error: Box::new(ErrorParts::of_report(&report)),
            status: ExitStatus::Refused,
            report: None,
        })
    }

    /// The answer to a request that failed.
    pub(crate) fn failed(error: &Error) -> Self {
        let (parts, report) = (error.parts(), error.report());
        Self::Failed(FailedAnswer {
            status: error.exit_status(),
            report: (report != parts.report()).then_some(report),
            error: Box::new(parts),
        })
    }

    /// The state of this process.
    pub(crate) fn alive(in_force: Option<&InForce>) -> Self {
        Self::Alive {
            pid: std::process::id(),
            generation: in_force.map(|in_force| in_force.generation),
            times: in_force.map(|in_force| in_force.times),
            unattached: in_force.map_or_else(Vec::new, |in_force| in_force.unattached.clone()),
            faults: in_force.map_or_else(Vec::new, |in_force| in_force.faults.clone()),
            last_good: in_force.and_then(|in_force| in_force.last_good.clone()),
        }
    }
}

/// The maximum number of rules that a message names.
const MAX_NAMED: usize = 20;

/// Selects the packets to capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureFilter {
    /// The names of the rules; empty for all rules that log.
    #[serde(default)]
    pub(crate) rules: BTreeSet<String>,
    /// Dropped packets instead, whether or not rules log them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drops: Option<Box<DropFilter>>,
}

/// A line of a capture, after its first answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum CaptureLine {
    /// A packet.
    Packet(LoggedPacket),
    /// Packets lost because the client was too slow.
    Lost {
        /// Their number, over all rules that log.
        lost: u64,
    },
    /// What became of all packets that were dropped during a capture of drops: its last line but for an answer.
    Tally {
        /// Their numbers.
        tally: DropTally,
    },
    /// The daemon ends.
    Ends(Answer),
}

impl CaptureFilter {
    /// The selected rules that log at present.
    ///
    /// # Errors
    ///
    /// The message about a selected rule that is not in force or does not log.
    pub(super) fn among(&self, names: &Names) -> Result<Vec<String>, String> {
        let logging = || {
            names
                .in_force()
                .filter(|(_, logs)| *logs)
                .map(|(name, _)| name)
        };
        let listed = || listed(&logging().collect::<Vec<_>>());
        for wanted in &self.rules {
            match names.logs(wanted) {
                Some(true) => {}
                Some(false) => {
                    return Err(format!(
                        "error: the rule `{wanted}` does not log\n\
                         help: add `log = true` to the rule; {}",
                        listed()
                    ));
                }
                None => return Err(names.unknown(wanted, &listed())),
            }
        }
        let chosen = logging().filter(|name| self.takes(Some(name)));
        Ok(chosen.map(str::to_owned).collect())
    }

    /// Whether packets of a rule are captured.
    pub(super) fn takes(&self, rule: Option<&str>) -> bool {
        self.rules.is_empty() || rule.is_some_and(|rule| self.rules.contains(rule))
    }
}

/// The rules that log, as part of a message.
fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "no rule logs".to_owned();
    }
    let begin = if names.len() == 1 {
        "the only rule that logs is"
    } else {
        "rules that log are"
    };
    format!("{begin} {}", names_in_words(names))
}

/// Joins names, at most [`MAX_NAMED`].
pub(crate) fn names_in_words<S: AsRef<str>>(names: &[S]) -> String {
    let shown = names.iter().take(MAX_NAMED);
    let shown: Vec<String> = shown.map(|name| format!("`{}`", name.as_ref())).collect();
    let mut words = shown.join(", ");
    if let Some(more) = names.len().checked_sub(MAX_NAMED + 1) {
        // Writing to a string does not fail.
        let _ = write!(words, " and {}", counted(more + 1, "other"));
    }
    words
}

/// The maximum number of bans or prefixes in a request. Each that is refused has a message in the answer,
/// which a client may leave unread.
const MAX_ITEMS: usize = 1000;

/// The times within which rules can be confirmed, in milliseconds: from a second to a day.
const CONFIRM_MS: RangeInclusive<u64> = 1_000..=86_400_000;

impl Request {
    /// Parses a request as strictly as the command line parses its options.
    ///
    /// # Errors
    ///
    /// When it is not UTF-8, not a request, or has an unknown key or an invalid value.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        // It has words of the request.
        let not_understood =
            |why: String| format!("the request was not understood: {}", escaped(&why));
        let text = std::str::from_utf8(line).map_err(|error| not_understood(error.to_string()))?;
        let request =
            serde_json::from_str(text).map_err(|error| not_understood(error.to_string()))?;
        let items = match &request {
            Self::Ban { bans } => bans.len(),
            Self::Unban(UnbanRequest::Prefixes(prefixes)) => prefixes.len(),
            Self::Unban(UnbanRequest::Reason { .. } | UnbanRequest::All)
            | Self::Ping {}
            | Self::Apply { .. }
            | Self::Reload { .. }
            | Self::Confirm {}
            | Self::Rollback { .. }
            | Self::Unload {}
            | Self::Capture(_)
            | Self::Addresses {} => 0,
        };
        if items > MAX_ITEMS {
            return Err(format!(
                "a request can have {MAX_ITEMS} bans or prefixes, and this one has {items}"
            ));
        }
        if let Self::Apply {
            file,
            folder,
            confirm_ms,
            ..
        } = &request
        {
            for path in [Some(file), folder.as_ref()].into_iter().flatten() {
                if !path.is_absolute() {
                    let path = path.display().to_string();
                    return Err(format!("`{}` is not an absolute path", escaped(&path)));
                }
            }
            if let Some(time) = confirm_ms.filter(|time| !CONFIRM_MS.contains(time)) {
                return Err(format!(
                    "`confirm_ms` is {time}, and must be from 1000 to 86400000"
                ));
            }
        }
        Ok(request)
    }
}

/// Reads the bytes of a line of at most `limit` bytes, without its line feed.
///
/// # Errors
///
/// When it is longer, or ends without a line feed.
pub(crate) async fn read_bytes(
    reader: &mut (impl AsyncBufRead + Unpin),
    limit: u64,
) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(limit).read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        Some(_) | None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads a line of at most `limit` bytes.
///
/// # Errors
///
/// When it is longer, or ends without a line feed.
pub(crate) async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    limit: u64,
) -> io::Result<String> {
    let mut line = String::new();
    reader.take(limit).read_line(&mut line).await?;
    if line.ends_with('\n') {
        Ok(line)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_in_a_request_is_shown_as_an_escape() {
        for line in [
            "{\"command\":\"apply\",\"f\u{7f}le\":\"/r\"}",
            "{\"command\":\"apply\",\"file\":\"r\u{202e}\"}",
        ] {
            let message = Request::read(line.as_bytes()).unwrap_err();
            assert!(!message.contains(rules::text::is_hidden), "{message:?}");
        }
    }

    #[test]
    fn a_request_has_no_keys_and_values_but_those_documented() {
        let read = |text: &str| Request::read(text.as_bytes());
        assert_eq!(read(r#"{"command":"ping"}"#), Ok(Request::Ping {}));
        for (bad, expected) in [
            (r#"{"command":"ping","now":true}"#, "unknown field `now`"),
            (
                r#"{"command":"apply","file":"/r","confirm":60000}"#,
                "unknown field `confirm`",
            ),
            (
                r#"{"command":"apply","file":"r"}"#,
                "`r` is not an absolute path",
            ),
            (
                r#"{"command":"apply","file":"/r","confirm_ms":999}"#,
                "`confirm_ms` is 999",
            ),
            (
                r#"{"command":"unban","prefixes":[],"force":true}"#,
                "unknown field `force`",
            ),
            (r#"{"command":"unban"}"#, "takes one of `prefixes`"),
            (
                r#"{"command":"unban","all":true,"reason":"x"}"#,
                "takes one of `prefixes`",
            ),
            (
                r#"{"command":"unban","all":true,"before":1}"#,
                "takes one of `prefixes`",
            ),
        ] {
            let refused = read(bad).unwrap_err();
            assert!(refused.contains(expected), "{bad}: {refused}");
        }
        assert!(Request::read(b"\xff").is_err());
        let unban = |items: usize| {
            let prefixes = vec!["\"192.0.2.1\""; items].join(",");
            read(&format!(
                "{{\"command\":\"unban\",\"prefixes\":[{prefixes}]}}"
            ))
        };
        assert!(unban(MAX_ITEMS).is_ok());
        assert_eq!(
            unban(MAX_ITEMS + 1).unwrap_err(),
            "a request can have 1000 bans or prefixes, and this one has 1001"
        );
        assert!(read(r#"{"command":"apply","file":"/r","confirm_ms":60000}"#).is_ok());
    }
}
