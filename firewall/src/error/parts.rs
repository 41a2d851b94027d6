//! An error in parts, as JSON has it.

use serde::{Deserialize, Serialize};

use crate::logging::diagnostics::DiagnosticRecord;

/// The parts of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorParts {
    /// The message with its causes.
    pub(crate) message: String,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
    /// What is wrong with a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) diagnostics: Vec<DiagnosticRecord>,
}

impl ErrorParts {
    /// The text for a terminal, without diagnostics.
    pub(crate) fn report(&self) -> String {
        let help = self.help.as_ref();
        let help = help.map(|help| format!("\nhelp: {help}"));
        format!("error: {}{}", self.message, help.unwrap_or_default())
    }

    /// The parts of a report that is one text.
    pub(crate) fn of_report(report: &str) -> Self {
        let (message, help) = match report.split_once("\nhelp: ") {
            Some((message, help)) => (message, Some(help.to_owned())),
            None => (report, None),
        };
        Self {
            message: message
                .strip_prefix("error: ")
                .unwrap_or(message)
                .to_owned(),
            help,
            diagnostics: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_message_and_help() {
        let report = "error: no\nhelp: yes";
        let parts = ErrorParts::of_report(report);
        assert_eq!(parts.report(), report);
        assert_eq!(parts.message, "no");
        assert_eq!(parts.help.as_deref(), Some("yes"));
        assert_eq!(ErrorParts::of_report("no").message, "no");
    }
}
