//! Diagnostics of rule files and packets, as text and as events.

use rules::diagnostics::{self, Diagnostic, Severity};
use serde::Serialize;
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

/// The fields of the event of a diagnostic.
fn fields(diagnostic: &Diagnostic) -> Fields {
    #[derive(Serialize)]
    struct DiagnosticFields<'a> {
        file: &'a str,
        line: u32,
        column: u32,
        severity: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        help: Option<&'a str>,
    }
    let place = diagnostic.place();
    Fields::of(&DiagnosticFields {
        file: diagnostic.file(),
        line: place.line.get(),
        column: place.column.get(),
        severity: diagnostic.severity().as_str(),
        code: diagnostic.code.as_str(),
        help: diagnostic.help.as_deref(),
    })
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
