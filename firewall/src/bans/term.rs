//! How long a ban lasts, as people write it.

use std::time::Duration;

/// How long a ban lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Term {
    /// Until it is taken back.
    #[default]
    Forever,
    /// So long.
    For(Duration),
}

/// The longest term that is not for good.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Term {
    /// Reads `90s`, `1h30m`, `2d` or `forever`. A negative term is for good, as fail2ban writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let no = || format!("`{text}` is no length of time, such as `90s`, `1h30m` or `2d`");
        if text == "forever" {
            return Ok(Self::Forever);
        }
        if let Some(rest) = text.strip_prefix('-') {
            return humantime::parse_duration(rest)
                .map(|_| Self::Forever)
                .map_err(|_| no());
        }
        match humantime::parse_duration(text) {
            Ok(Duration::ZERO) => Err(format!("`{text}` is no time at all")),
            Ok(duration) if duration <= LONGEST => Ok(Self::For(duration)),
            Ok(_) => Err(format!(
                "`{text}` is longer than 100 years: write `forever`"
            )),
            Err(_) => Err(no()),
        }
    }
}

/// Checks the text of a length of time.
pub(crate) fn term_text(text: &str) -> Result<String, String> {
    Term::parse(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_in_their_units() {
        let seconds = |text| match Term::parse(text) {
            Ok(Term::For(duration)) => Some(duration.as_secs()),
            Ok(Term::Forever) => Some(u64::MAX),
            Err(_) => None,
        };
        for (text, expected) in [
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("2d", Some(172_800)),
            ("1w", Some(604_800)),
            ("1h 30m", Some(5400)),
            ("-1s", Some(u64::MAX)),
            ("forever", Some(u64::MAX)),
            ("0s", None),
            ("90", None),
            ("", None),
            ("-", None),
            ("-1", None),
            ("1x", None),
            ("h", None),
            ("1000000000y", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
