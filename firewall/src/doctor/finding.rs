//! A finding about an interface, its severity and its fix.

use std::fmt;

use serde::Serialize;

/// A property of an interface that affects a firewall on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// A stable identifier.
    pub(crate) id: &'static str,
    /// The severity.
    pub(crate) severity: Severity,
    /// The description, in one line.
    pub(crate) message: String,
    /// The fix, if there is one; in JSON the key `command` or `advice`.
    #[serde(flatten)]
    pub(crate) fix: Option<Fix>,
}

/// How to fix a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fix {
    /// A command to run.
    Command(String),
    /// An instruction that is not a command.
    Advice(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, fix, .. } = self;
        match fix {
            Some(Fix::Command(command)) => write!(f, "{message}: `{command}`"),
            Some(Fix::Advice(advice)) => write!(f, "{message}: {advice}"),
            None => f.write_str(message),
        }
    }
}

/// The severity of a finding, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// No problem.
    Ok,
    /// Information.
    Note,
    /// Slower filtering, or packet fields hidden from the rules.
    Warning,
    /// A program cannot be attached in native mode, or not at all.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A finding, as the functions that look for one return it.
pub(super) fn finding(
    id: &'static str,
    severity: Severity,
    message: impl Into<String>,
    fix: Option<Fix>,
) -> Option<Finding> {
    Some(Finding {
        id,
        severity,
        message: message.into(),
        fix,
    })
}

/// A command that fixes a finding.
pub(super) fn command(command: String) -> Option<Fix> {
    Some(Fix::Command(command))
}

/// Other advice.
pub(super) fn advice(advice: &str) -> Option<Fix> {
    Some(Fix::Advice(advice.to_owned()))
}
