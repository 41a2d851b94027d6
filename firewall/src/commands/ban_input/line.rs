//! Many bans as text, one a line: an address or a prefix, then, if there are any, how long, and
//! words that say why.

use crate::bans::term::Term;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Line<'a> {
    /// The address or prefix, unread.
    pub(in crate::commands) prefix: &'a str,
    /// How long, if the line says it.
    pub(in crate::commands) term: Option<&'a str>,
    /// Why, if the line says it.
    pub(in crate::commands) reason: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` when it is empty or holds a comment only. The second word is a length
    /// of time if it can be one, or `-`, which says nothing of it; else it begins the reason.
    pub(in crate::commands) fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return None;
        }
        let (prefix, rest) = first_word(line);
        let (second, behind) = first_word(rest);
        let (term, reason) = match second {
            "-" => (None, behind),
            word if Term::parse(word).is_ok() => (Some(word), behind),
            _ => (None, rest),
        };
        Some(Self {
            prefix,
            term,
            reason: (!reason.is_empty()).then_some(reason),
        })
    }
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_an_address_and_perhaps_a_term_and_a_reason() {
        let read = |line| {
            let line = Line::read(line)?;
            Some((line.prefix, line.term, line.reason))
        };
        for (line, expected) in [
            ("", None),
            ("  # all of it", None),
            ("; also", None),
            ("1.2.3.4", Some(("1.2.3.4", None, None))),
            ("1.2.3.4\t1h30m\r", Some(("1.2.3.4", Some("1h30m"), None))),
            (
                " ::1  1h   ssh,  again ",
                Some(("::1", Some("1h"), Some("ssh,  again"))),
            ),
            ("::/8 sshd", Some(("::/8", None, Some("sshd")))),
            ("a b c", Some(("a", None, Some("b c")))),
            ("a - 1h", Some(("a", None, Some("1h")))),
            ("a 404 pages", Some(("a", None, Some("404 pages")))),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
