//! An error with its causes in one line.

use std::{error::Error as StdError, fmt};

use rules::text::without_error_number;

/// An error and its causes in one line, without repetitions, and without the number that the standard
/// library appends to the words for an error of the system.
pub(crate) struct Causes<'a>(pub(crate) &'a dyn StdError);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        f.write_str(without_error_number(&shown))?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !shown.contains(&text) {
                write!(f, ": {}", without_error_number(&text))?;
            }
            shown = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no file")]
    struct NoFile(#[source] io::Error);

    #[test]
    fn causes_are_in_words() {
        let error = NoFile(io::Error::from_raw_os_error(2));
        assert_eq!(
            Causes(&error).to_string(),
            "no file: No such file or directory"
        );
    }
}
