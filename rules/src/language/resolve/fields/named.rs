//! Values that are numbers and may have names.

use crate::{
    diagnostics::Report,
    language::{
        resolve::literal::{invalid, number_fault},
        syntax::Term,
    },
    text::{NumberError, nearest},
};

/// A kind of value that is a number and may have a name.
pub(super) struct Named {
    pub(super) what: &'static str,
    /// The message about a number that is too large.
    pub(super) largest: &'static str,
}

impl Named {
    /// The range that was read, or `None` and a report of why there is none, with the one of
    /// `names` that was meant.
    pub(super) fn range<T>(
        &self,
        read: Result<(T, T), NumberError>,
        names: impl Iterator<Item = &'static str> + Clone,
        term: &Term<'_>,
        text: &str,
        report: &mut Report,
    ) -> Option<(T, T)> {
        let error = match read {
            Ok(range) => return Some(range),
            Err(error) => error,
        };
        let fault = match error {
            NumberError::NotANumber if names.clone().next().is_some() => {
                "expected a name, a number or a range"
            }
            NumberError::NotANumber | NumberError::TooLarge | NumberError::Backwards => {
                number_fault(error)
            }
        };
        let diagnostic = invalid(self.what, term, text, fault, report);
        match (error, nearest(text, names)) {
            (NumberError::NotANumber, Some(meant)) => {
                diagnostic.help(format!("did you mean `{meant}`?"));
            }
            (NumberError::TooLarge, _) => {
                diagnostic.help(self.largest);
            }
            (NumberError::NotANumber, None) | (NumberError::Backwards, _) => {}
        }
        None
    }
}
