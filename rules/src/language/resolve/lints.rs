//! The meaning of `[lints]`.

use crate::{
    diagnostics::{Code, Report, Severity, suggest},
    language::syntax::Term,
    text::quoted,
};

/// The codes of warnings that are not given.
pub(super) fn allowed(terms: &[Term<'_>], report: &mut Report) -> Vec<Code> {
    let code = |term: &Term<'_>| {
        let code = Code::named(&term.text);
        match code.map(Code::severity) {
            Some(Severity::Warning) => {}
            Some(Severity::Error) => {
                let message = format!(
                    "{} is an error, which cannot be allowed",
                    quoted(&term.text)
                );
                report.add(Code::InvalidValue, term.span, message);
            }
            None => {
                let message = format!("no warning is called {}", quoted(&term.text));
                let diagnostic = report.add(Code::InvalidValue, term.span, message);
                let warnings = Code::ALL
                    .iter()
                    .filter(|code| code.severity() == Severity::Warning);
                suggest(diagnostic, &term.text, warnings.map(|code| code.as_str()));
            }
        }
        code
    };
    terms.iter().filter_map(code).collect()
}
