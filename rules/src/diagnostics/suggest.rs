//! Help for an unknown word.

use super::diagnostic::Diagnostic;
use crate::text::nearest;

/// Adds as help the candidate that was probably meant, or otherwise all candidates, of which there
/// must be few.
pub(crate) fn suggest<'a>(
    diagnostic: &mut Diagnostic,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) {
    if let Some(meant) = nearest(word, candidates.clone()) {
        diagnostic.help(format!("did you mean `{meant}`?"));
    } else {
        let all: Vec<_> = candidates
            .into_iter()
            .map(|word| format!("`{word}`"))
            .collect();
        diagnostic.help(format!("known are {}", all.join(", ")));
    }
}
