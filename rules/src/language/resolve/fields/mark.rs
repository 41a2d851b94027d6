//! The field `mark`.

use super::terms::values;
use crate::{
    diagnostics::Report,
    field::RangeSet,
    language::{
        resolve::literal::{invalid, number_fault},
        syntax::Field,
    },
    text::{NumberError, number},
};

/// The marks that the field takes.
pub(super) fn marks(field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u32>> {
    values(field, (0, u32::MAX), report, |term, text, report| {
        let error = match number::hex_range(text) {
            Ok(range) => return Some(range),
            Err(error) => error,
        };
        let diagnostic = invalid("mark", term, text, number_fault(error), report);
        match error {
            NumberError::NotANumber if text.contains('/') => {
                diagnostic.help("a mark is compared whole: list the values, or write a range");
            }
            NumberError::TooLarge => {
                diagnostic.help("the largest mark is 0xffffffff");
            }
            NumberError::NotANumber | NumberError::Backwards => {}
        }
        None
    })
}
