//! Diagnostics of rule files and packets, as text and as events.

use rules::diagnostics::{self, Diagnostic, Severity};
use serde::{Deserialize, Serialize};
use tracing::Level;

use crate::{
    logging::lines::{self, Fields},
    text::format,
};

/// Logs each diagnostic as an event.
pub(crate) fn log(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let (message, fields) = (in_one_line(diagnostic), fields(diagnostic));
        let fields = fields.as_value();
        match diagnostic.severity() {
            Severity::Error => tracing::error!(event = "diagnostic", fields, "{message}"),
            Severity::Warning => tracing::warn!(event = "diagnostic", fields, "{message}"),
        }
    }
}

/// Prints diagnostics for the user of a command.
pub(crate) fn tell(diagnostics: &[Diagnostic]) {
    if !lines::is_json() {
        lines::tell_error(&render(diagnostics));
        return;
    }
    for diagnostic in diagnostics {
        let level = match diagnostic.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARN,
        };
        let message = in_one_line(diagnostic);
        lines::tell_event(level, "diagnostic", &message, &fields(diagnostic));
    }
}

/// The fields of the event of a diagnostic, beside the message.
fn fields(diagnostic: &Diagnostic) -> Fields {
    Fields::of(&DiagnosticFields::from(diagnostic))
}

/// What a diagnostic says, without its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DiagnosticFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    severity: String,
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl From<&Diagnostic> for DiagnosticFields {
    fn from(diagnostic: &Diagnostic) -> Self {
        let place = diagnostic.place();
        Self {
            file: Some(diagnostic.file().to_owned()),
            line: Some(place.line.get()),
            column: Some(place.column.get()),
            severity: diagnostic.severity().as_str().to_owned(),
            code: diagnostic.code.as_str().to_owned(),
            help: diagnostic.help.clone(),
        }
    }
}

/// A diagnostic as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiagnosticRecord {
    #[serde(flatten)]
    fields: DiagnosticFields,
    message: String,
}

impl DiagnosticRecord {
    /// A warning about rules on this machine, which is about no place in a file.
    pub(crate) fn of_machine(code: &str, message: String, help: Option<String>) -> Self {
        Self {
            fields: DiagnosticFields {
                file: None,
                line: None,
                column: None,
                severity: Severity::Warning.as_str().to_owned(),
                code: code.to_owned(),
                help,
            },
            message,
        }
    }
}

impl From<&Diagnostic> for DiagnosticRecord {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            fields: diagnostic.into(),
            message: diagnostic.message.clone(),
        }
    }
}

/// Renders diagnostics for a terminal.
pub(crate) fn render(diagnostics: &[Diagnostic]) -> String {
    let rendered: Vec<String> = diagnostics.iter().map(diagnostics::render).collect();
    rendered.join("\n")
}

/// Renders a diagnostic in one line, for a log.
fn in_one_line(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.place();
    let help = match &diagnostic.help {
        Some(help) => {
            let lines = help.lines().map(str::trim).filter(|line| !line.is_empty());
            format!("; help: {}", lines.collect::<Vec<_>>().join("; "))
        }
        None => String::new(),
    };
    format!(
        "{}:{}:{}: {}: {}{help}",
        diagnostic.file(),
        place.line,
        place.column,
        diagnostic.severity().as_str(),
        diagnostic.message,
    )
}

/// The numbers of errors and warnings, in words.
pub(crate) fn counted(diagnostics: &[Diagnostic]) -> String {
    let count = |severity: Severity| {
        let of_it = diagnostics.iter().filter(|d| d.severity() == severity);
        Some(of_it.count())
            .filter(|&count| count > 0)
            .map(|count| format::counted(count, severity.as_str()))
    };
    let words: Vec<String> = [Severity::Error, Severity::Warning]
        .into_iter()
        .filter_map(count)
        .collect();
    if words.is_empty() {
        "no errors".into()
    } else {
        words.join(" and ")
    }
}
