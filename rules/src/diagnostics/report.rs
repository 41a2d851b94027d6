//! Collects the findings about one rule file.

use std::sync::Arc;

use super::{
    code::{Code, Severity},
    diagnostic::Diagnostic,
    source::{Source, Span},
};
use crate::text::counted;

/// The maximum number of errors, and of warnings, that are reported one by one.
const MAX_FINDINGS: usize = 100;

/// Keeps the first findings of a severity.
fn limit(diagnostics: &mut Vec<Diagnostic>, severity: Severity, what: &str) {
    let is_meant = |diagnostic: &Diagnostic| diagnostic.severity() == severity;
    let count = diagnostics.iter().filter(|one| is_meant(one)).count();
    let Some(more @ 1..) = count.checked_sub(MAX_FINDINGS) else {
        return;
    };
    let mut kept = 0;
    diagnostics.retain_mut(|diagnostic| {
        if !is_meant(diagnostic) {
            return true;
        }
        kept += 1;
        if kept == MAX_FINDINGS {
            let verb = if more == 1 { "is" } else { "are" };
            diagnostic.note(format!("there {verb} {}", counted(more, what)));
        }
        kept <= MAX_FINDINGS
    });
}

/// Collects the findings about one rule file.
#[derive(Debug)]
pub(crate) struct Report {
    source: Arc<Source>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report about `source`, without findings.
    pub(crate) fn new(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            diagnostics: Vec::new(),
        }
    }

    /// Adds a finding about the rule file, to be elaborated by the caller.
    pub(crate) fn add(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let diagnostic = Diagnostic::new(code, &self.source, span, message);
        self.diagnostics.push_mut(diagnostic)
    }

    /// The finding that was added last, to be elaborated.
    pub(crate) fn last(&mut self) -> Option<&mut Diagnostic> {
        self.diagnostics.last_mut()
    }

    /// Adds findings about another file.
    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.extend(diagnostics);
    }

    /// The rule file.
    pub(crate) fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// Whether a finding so far is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity() == Severity::Error)
    }

    /// The findings: those about the rule file by place, then those about other files as added. Of
    /// very many errors, or warnings, the first [`MAX_FINDINGS`] are kept, and the last of them has a
    /// note on the others.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics;
        diagnostics.sort_by_key(|diagnostic| {
            let foreign = !Arc::ptr_eq(&diagnostic.primary.source, &self.source);
            let at = if foreign {
                0
            } else {
                diagnostic.primary.span.start
            };
            (foreign, at)
        });
        for (severity, what) in [
            (Severity::Error, "more error"),
            (Severity::Warning, "more warning"),
        ] {
            limit(&mut diagnostics, severity, what);
        }
        diagnostics
    }
}
