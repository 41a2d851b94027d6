//! Keys that accept one of a few words.

use crate::{
    diagnostics::{Code, Report, suggest},
    language::syntax::At,
    model::Verdict,
    text::quoted,
};

/// What `word` stands for among `choices`.
pub(super) fn choice<T: Copy>(
    key: &str,
    word: At<&str>,
    choices: &[(&'static str, T)],
    report: &mut Report,
) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == word.value);
    if found.is_none() {
        let message = format!("unknown {key} {}", quoted(word.value));
        let diagnostic = report.add(Code::InvalidValue, word.span, message);
        suggest(
            diagnostic,
            word.value,
            choices.iter().map(|(name, _)| *name),
        );
    }
    found.map(|(_, value)| *value)
}

/// The verdict that `word` stands for.
pub(super) fn verdict(key: &str, word: At<&str>, report: &mut Report) -> Option<Verdict> {
    let verdicts = Verdict::ALL.map(|verdict| (verdict.as_str(), verdict));
    choice(key, word, &verdicts, report)
}
