//! How long a ban lasts, as people write it.

use std::time::Duration;

use rules::text::{duration, escaped};

/// How long a ban lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Term {
    /// Until it is removed.
    #[default]
    Forever,
    /// So long.
    For(Duration),
}

/// The longest term in plain seconds: a larger number is a time stamp rather than a length of time.
const LONGEST_NUMBER: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The longest term that is not for ever.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Term {
    /// Reads `90s`, `1h30m`, `2d`, `3h59m38.3s`, `3600` (seconds) or `forever`, the only word for a ban without end.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let shown = escaped(text);
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let is_negative = text.starts_with('-');
        let length = text.strip_prefix('-').unwrap_or(text);
        let Some(duration) = duration(length) else {
            return Err(format!(
                "`{shown}` is not a duration: write `90s`, `1h30m`, `2d`, a number of seconds, or `forever`"
            ));
        };
        if is_negative || duration.is_zero() {
            return Err(format!(
                "`{shown}` is already over: write `forever` for a ban without end"
            ));
        }
        if is_number(length) && duration > LONGEST_NUMBER {
            return Err(format!(
                "`{shown}` is more than 10 years in seconds, and looks like a time stamp: write the length of time, \
                 such as `90s` or `20y`"
            ));
        }
        if duration > LONGEST {
            return Err(format!(
                "`{shown}` is longer than 100 years: write `forever`"
            ));
        }
        Ok(Self::For(duration))
    }

    /// Whether a word can only be meant as a term, though perhaps a wrong one.
    pub(crate) fn is_meant_by(word: &str) -> bool {
        let number = word.strip_prefix(['-', '+']).unwrap_or(word);
        let number = number.strip_prefix('.').unwrap_or(number);
        number.starts_with(|c: char| c.is_ascii_digit()) || word.eq_ignore_ascii_case("forever")
    }

    /// Whether a word is a term with a unit.
    pub(crate) fn has_unit(word: &str) -> bool {
        !is_number(word) && matches!(Self::parse(word), Ok(Self::For(_)))
    }

    /// Whether a word is the name of a unit, in any case.
    pub(crate) fn is_unit(word: &str) -> bool {
        let word = word.trim_end_matches(|c: char| c.is_ascii_punctuation());
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_word && humantime::parse_duration(&format!("1{}", word.to_ascii_lowercase())).is_ok()
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks the text of a length of time.
pub(crate) fn term_text(text: &str) -> Result<String, String> {
    Term::parse(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_in_their_units_and_plain_numbers_in_seconds() {
        let seconds = |text| match Term::parse(text) {
            Ok(Term::For(duration)) => Some(duration.as_secs_f64()),
            Ok(Term::Forever) => Some(f64::INFINITY),
            Err(_) => None,
        };
        for (text, expected) in [
            ("90s", Some(90.0)),
            ("90", Some(90.0)),
            ("3600", Some(3600.0)),
            ("30m", Some(1800.0)),
            ("1h", Some(3600.0)),
            ("1h30m", Some(5400.0)),
            ("2d", Some(172_800.0)),
            ("1w", Some(604_800.0)),
            ("1h 30m", Some(5400.0)),
            ("3h59m38.25s", Some(14_378.25)),
            ("0.5s", Some(0.5)),
            ("forever", Some(f64::INFINITY)),
            ("3h59m38.328361", None),
            ("1.5h", None),
            ("1.s", None),
            ("30M", None),
            ("4H", None),
            ("\u{a0}1h", None),
            ("1h\u{2009}30m", None),
            ("Forever", None),
            ("+90", None),
            ("", None),
            ("-", None),
            ("1x", None),
            ("h", None),
            ("316224000", Some(316_224_000.0)),
            ("316224001", None),
            ("1700000000", None),
            ("20y", Some(20.0 * 365.25 * 86_400.0)),
            ("1000000000y", None),
            ("99999999999999999999s", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn units_are_known_by_their_names() {
        for word in ["h", "s", "days", "Hours", "min", "m", "M", "weeks,", "y"] {
            assert!(Term::is_unit(word), "{word}");
        }
        for word in ["", "x", "sshd", "1h", "daytime", "-"] {
            assert!(!Term::is_unit(word), "{word}");
        }
        assert!(Term::has_unit("1h") && Term::has_unit("2days"));
        assert!(!Term::has_unit("404") && !Term::has_unit("forever") && !Term::has_unit("3rd"));
    }

    #[test]
    fn a_term_that_is_over_bans_nobody_for_ever() {
        for text in ["-1", "-3559s", "-1h", "0", "0s", "-0"] {
            let error = Term::parse(text).unwrap_err();
            assert!(error.contains("already over"), "{text}: {error}");
        }
    }
}
