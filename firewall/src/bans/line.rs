//! A line that asks for a ban: what to ban, then, optionally, how long, and words that say why.
//!
//! What to ban is read as in list files. This module does not know who asks.

use std::borrow::Cow;

use rules::{
    field::{
        AddressError, AddressRange,
        address::{self, Addresses},
    },
    language::lists::{self, LineError, LineForm, ListLine},
    text::escaped,
};

use crate::bans::term::Term;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BanLine<'a> {
    /// The addresses.
    pub(crate) range: AddressRange,
    /// The same in one text, which is read again as that.
    pub(crate) addresses: String,
    /// As it is written, if that is the IPv6 form of IPv4 addresses.
    pub(crate) mapped: Option<Cow<'a, str>>,
    /// As it is written, if that is a prefix whose host bits were cleared.
    pub(crate) masked: Option<Cow<'a, str>>,
    /// How long, if the line says it.
    pub(crate) term: Option<&'a str>,
    /// Why, if the line says it.
    pub(crate) reason: Option<&'a str>,
}

impl<'a> BanLine<'a> {
    /// Reads a line; `None` when it is empty or holds only a comment. The second word is a duration, or
    /// `-`, which leaves it open; else it begins the reason, unless it could be meant as a duration.
    pub(crate) fn read(line: &'a str, host_bits: HostBits) -> Result<Option<Self>, String> {
        let Some(LineAddresses {
            found,
            form,
            rest,
            masked,
        }) = read_addresses(line, host_bits)?
        else {
            return Ok(None);
        };
        let (term, reason) = match form {
            LineForm::Ipset if rest.is_empty() => (None, ""),
            LineForm::Ipset => {
                Term::parse(rest)?;
                (Some(rest), "")
            }
            LineForm::Words { .. } => term_and_reason(rest)?,
            LineForm::Columns | LineForm::Described => (None, rest),
        };
        let text = || lists::subject(line.as_bytes());
        Ok(Some(Self {
            range: found.range,
            addresses: found.range.to_string(),
            mapped: found.is_mapped.then(|| String::from_utf8_lossy(text())),
            masked,
            term,
            reason: (!reason.is_empty()).then_some(reason),
        }))
    }
}

/// What could be meant as the duration of a ban, with a number after it.
const TERM_WORDS: &[&str] = &[
    "for", "until", "till", "timeout", "expires", "expiry", "ttl", "duration", "bantime",
];

/// More words that begin what other programs write after an address.
const OTHER_WORDS: &[&str] = &["nomatch", "packets", "bytes", "comment", "counter"];

/// The term and the reason in the words after an address.
fn term_and_reason(rest: &str) -> Result<(Option<&str>, &str), String> {
    let (second, after) = split_word(rest);
    if second.is_empty() || second == "-" {
        return Ok((None, after));
    }
    let is_term = Term::is_meant_by(second)
        || second.contains(|c: char| c.is_ascii_digit())
        || second.starts_with('-');
    if is_term {
        Term::parse(second)
            .map_err(|error| format!("{error}; a reason that begins like this comes after `-`"))?;
        let (third, _) = split_word(after);
        if second != "forever" && (Term::is_unit(third) || Term::has_unit(third)) {
            return Err(format!(
                "`{} {}` is not a duration: write it without a space, such as `7days` or `1h30m`",
                escaped(second),
                escaped(third)
            ));
        }
        return Ok((Some(second), after));
    }
    if could_be_term(second) {
        return Err(format!(
            "`{}` is not a duration: write `90s`, `1h30m`, `2d` or `forever` alone after the address; \
             a reason that begins like this comes after `-`",
            escaped(second)
        ));
    }
    if let Some(term) = term_within(rest) {
        return Err(format!(
            "the reason has a duration in it, `{}`: write the duration before the reason, or `-` for none",
            escaped(term)
        ));
    }
    Ok((None, rest))
}

/// Whether a word without digits begins what could be meant as a duration: a word of other formats, no letter,
/// or characters that look like others or like nothing.
fn could_be_term(word: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() && !matches!(c, '\u{ff00}'..='\u{ffef}');
    let has_look_alikes = word.contains(|c: char| !c.is_ascii() && !is_letter(c));
    let is_known = [TERM_WORDS, OTHER_WORDS]
        .concat()
        .contains(&letters(word).as_str());
    has_look_alikes || is_known || !word.contains(is_letter)
}

/// A duration in a reason: a number with a unit, or after a word that announces it.
fn term_within(reason: &str) -> Option<&str> {
    let mut words = reason.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        if Term::has_unit(word) {
            return Some(word);
        }
        let is_announced = TERM_WORDS.contains(&letters(word).as_str());
        if is_announced && let Some(next) = words.peek().filter(|next| Term::is_meant_by(next)) {
            return Some(next);
        }
    }
    None
}

/// The letters at the start of a word, in lower case.
fn letters(word: &str) -> String {
    let word = word.trim_start_matches(|c: char| c.is_ascii_punctuation());
    let letters = word.chars().take_while(char::is_ascii_alphabetic);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The first word, and what follows the white space after it. Other white space than that of ASCII does not
/// separate words, so it cannot hide any.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((word, after)) => (word, after.trim_ascii_start()),
        None => (text, ""),
    }
}

/// What becomes of the host bits of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostBits {
    /// They are an error.
    Refused,
    /// They are cleared.
    Cleared,
}

/// The addresses that a line names, and what follows them.
pub(crate) struct LineAddresses<'a> {
    /// The addresses.
    pub(crate) found: Addresses,
    /// The form of the line.
    form: LineForm,
    /// What follows them.
    rest: &'a str,
    /// As it is written, if host bits were cleared.
    pub(crate) masked: Option<Cow<'a, str>>,
}

/// Reads the addresses at the start of a line.
pub(crate) fn read_addresses(
    line: &str,
    host_bits: HostBits,
) -> Result<Option<LineAddresses<'_>>, String> {
    let found = match lists::line(line.as_bytes()) {
        Err(LineError::Address(AddressError::HostBits { prefix, .. }))
            if host_bits == HostBits::Cleared && has_host_bits(lists::subject(line.as_bytes())) =>
        {
            return masked(line, &prefix);
        }
        found => required(found, line)?,
    };
    Ok(found.map(|found| LineAddresses {
        found: found.addresses,
        form: found.form,
        rest: str::from_utf8(found.rest).unwrap_or_default(),
        masked: None,
    }))
}

/// Whether a text is a prefix with host bits. In some forms of lines it is not at their start.
fn has_host_bits(text: &[u8]) -> bool {
    matches!(address::read(text), Err(AddressError::HostBits { .. }))
}

/// Reads a line with `prefix` in place of what it begins with.
fn masked<'a>(line: &'a str, prefix: &str) -> Result<Option<LineAddresses<'a>>, String> {
    let content = String::from_utf8_lossy(lists::content(line.as_bytes()));
    let text = String::from_utf8_lossy(lists::subject(line.as_bytes()));
    let cleared = content.replacen(&*text, prefix, 1);
    let Some(found) = required(lists::line(cleared.as_bytes()), line)? else {
        return Ok(None);
    };
    // Only what names addresses was replaced: the end is the same.
    let rest = String::from_utf8_lossy(found.rest);
    let rest = line
        .rfind(&*rest)
        .map_or("", |at| line.get(at..at + rest.len()).unwrap_or_default());
    Ok(Some(LineAddresses {
        found: found.addresses,
        form: found.form,
        rest,
        masked: Some(Cow::Owned(text.into_owned())),
    }))
}

/// What a line has, unless it has columns, or the error in words.
fn required<'l>(
    found: Result<Option<ListLine<'l>>, LineError>,
    line: &str,
) -> Result<Option<ListLine<'l>>, String> {
    let found = found.map_err(|error| match error {
        LineError::TooLong | LineError::CarriageReturn => error.to_string(),
        LineError::Address(_) => error.about(lists::subject(line.as_bytes())),
        LineError::Columns | LineError::Length => columns(line),
        LineError::NoColumn(_)
        | LineError::Exception
        | LineError::SetOption
        | LineError::Command
        | LineError::Json
        | LineError::NftSet => error.about(lists::content(line.as_bytes())),
    })?;
    match found {
        // A duration in a column would be overlooked.
        Some(found) if found.form == LineForm::Columns => Err(columns(line)),
        found => Ok(found),
    }
}

fn columns(line: &str) -> String {
    format!(
        "`{}` has columns: write the address, a duration and a reason with spaces between",
        escaped(line.trim())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::prefix::{prefixes_of, read_prefixes};

    type Read = Option<(String, Option<String>, Option<String>)>;

    fn read(line: &str) -> Result<Read, String> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let line = BanLine::read(line, HostBits::Refused)?;
        Ok(line.map(|line| (line.addresses, owned(line.term), owned(line.reason))))
    }

    fn some(addresses: &str, term: Option<&str>, reason: Option<&str>) -> Result<Read, String> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Some((addresses.to_owned(), owned(term), owned(reason))))
    }

    #[test]
    fn a_line_has_an_address_and_perhaps_a_term_and_a_reason() {
        for (line, expected) in [
            ("", Ok(None)),
            ("  # all of it", Ok(None)),
            ("; also", Ok(None)),
            ("// also", Ok(None)),
            ("\u{feff}# also", Ok(None)),
            ("1.2.3.4", some("1.2.3.4", None, None)),
            ("\u{feff}1.2.3.4", some("1.2.3.4", None, None)),
            ("1.2.3.4\t1h30m\r", some("1.2.3.4", Some("1h30m"), None)),
            ("1.2.3.4 3600", some("1.2.3.4", Some("3600"), None)),
            (
                " ::1  1h   ssh,  again ",
                some("::1", Some("1h"), Some("ssh,  again")),
            ),
            ("::/8 sshd", some("::/8", None, Some("sshd"))),
            ("1.2.3.4 - 1h", some("1.2.3.4", None, Some("1h"))),
            (
                "1.2.3.4 - 404 pages",
                some("1.2.3.4", None, Some("404 pages")),
            ),
            (
                "1.2.3.4 see http://x/#1 # more",
                some("1.2.3.4", None, Some("see http://x/#1")),
            ),
            ("10.0.0.0/24 ; SBL400000", some("10.0.0.0/24", None, None)),
            (
                "10.0.0.0 - 10.0.0.255 1h x",
                some("10.0.0.0/24", Some("1h"), Some("x")),
            ),
            (
                "10.0.0.0 255.255.255.0 1h x",
                some("10.0.0.0/24", Some("1h"), Some("x")),
            ),
            ("10.0.0.1-2 x", some("10.0.0.1-10.0.0.2", None, Some("x"))),
            ("::ffff:1.2.3.4 1h", some("1.2.3.4", Some("1h"), None)),
            (
                "add bad 1.2.3.4 timeout 60",
                some("1.2.3.4", Some("60"), None),
            ),
            ("add bad 1.2.3.4 timeout 0", some("1.2.3.4", None, None)),
            ("a name:1.2.3.4-1.2.3.5", some("1.2.3.4/31", None, None)),
            ("1.2.3.4 timeout 300", some("1.2.3.4", Some("300"), None)),
            (
                "1.2.3.4 timeout 300 packets 0 bytes 0",
                some("1.2.3.4", Some("300"), None),
            ),
            ("1.2.3.4 packets 0 bytes 0", some("1.2.3.4", None, None)),
            (
                "add x 1.2.3.4 comment \"x # 1h\" timeout 60",
                some("1.2.3.4", Some("60"), None),
            ),
            ("1.2.3.4 größe x", some("1.2.3.4", None, Some("größe x"))),
            ("1.2.3.4 \"a b\"", some("1.2.3.4", None, Some("\"a b\""))),
            ("1.2.3.4 - for 1h", some("1.2.3.4", None, Some("for 1h"))),
            ("1.2.3.4 - ssh 1h", some("1.2.3.4", None, Some("ssh 1h"))),
            (
                "1.2.3.4 1h for 3 times",
                some("1.2.3.4", Some("1h"), Some("for 3 times")),
            ),
            (
                "1.2.3.4 1h 404 x",
                some("1.2.3.4", Some("1h"), Some("404 x")),
            ),
            (
                "1.2.3.4 forever days",
                some("1.2.3.4", Some("forever"), Some("days")),
            ),
            (
                "1.2.3.4 see port 22",
                some("1.2.3.4", None, Some("see port 22")),
            ),
            ("\"1.2.3.4\"", some("1.2.3.4", None, None)),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused() {
        for (line, part) in [
            ("203.0.113.6 -1", "already over"),
            ("203.0.113.6 -7", "already over"),
            ("203.0.113.61 -3559s", "already over"),
            ("203.0.113.10 3h59m38.328361 crowdsec", "not a duration"),
            ("203.0.113.16 4H ssh", "not a duration"),
            ("203.0.113.16 Forever", "not a duration"),
            ("203.0.113.16 .5h", "not a duration"),
            ("203.0.113.16,1h", "columns"),
            ("203.0.113.16 , 1h", "columns"),
            ("203.0.113.1 203.0.113.9", "not a duration"),
            ("203.0.113.1 - 203.0.113.999", "is neither an address"),
            ("a b c", "`a` is neither an address"),
            ("add bad 10.0.0.0/8 nomatch", "nomatch"),
            ("10.0.0.0/8 nomatch", "nomatch"),
            ("add x 10.0.0.0/8 comment \"x\" nomatch", "nomatch"),
            ("add x 10.0.0.0/8 comment \"x # y\" nomatch", "nomatch"),
            ("add x 203.0.113.1 timeout", "timeout SECONDS"),
            ("203.0.113.1 timeout", "timeout SECONDS"),
            ("203.0.113.1 timeout 1h", "timeout SECONDS"),
            (
                "203.0.113.1 timeout 1h expires 59m, 203.0.113.2 timeout 1h }",
                "nftables",
            ),
            ("203.0.113.1 expires 59m", "not a duration"),
            ("203.0.113.1 comment \"x\"", "not a duration"),
            ("203.0.113.1 PT4H", "not a duration"),
            ("203.0.113.1 for 1h", "not a duration"),
            ("203.0.113.1 For: 1h", "not a duration"),
            ("203.0.113.1 until 2026-12-01", "not a duration"),
            ("203.0.113.1 \"3600\"", "not a duration"),
            ("203.0.113.1 (60)", "not a duration"),
            ("203.0.113.1 =60", "not a duration"),
            ("203.0.113.1 = 60", "not a duration"),
            ("203.0.113.1 ~1h", "not a duration"),
            ("203.0.113.1 timeout=60", "not a duration"),
            ("203.0.113.1 timeout=forever", "not a duration"),
            ("203.0.113.1 --for 1h", "not a duration"),
            ("203.0.113.1 \u{2212}1h", "not a duration"),
            ("203.0.113.1 \u{2212} 1h", "not a duration"),
            ("203.0.113.1 \u{ff11}h", "not a duration"),
            ("203.0.113.1 \u{661}h", "not a duration"),
            ("203.0.113.1 \u{a0}1h", "not a duration"),
            ("203.0.113.1 \u{a0} 1h", "not a duration"),
            ("203.0.113.1 \u{202f}1h", "not a duration"),
            ("203.0.113.1 \u{200b}1h", "not a duration"),
            ("203.0.113.1 \u{200b} 1h", "not a duration"),
            ("203.0.113.1 \u{feff}1h", "not a duration"),
            ("203.0.113.1\u{a0}1h", "is neither an address"),
            ("203.0.113.1 7 days", "`7 days` is not a duration"),
            ("203.0.113.1 1 h", "without a space"),
            ("203.0.113.1 60 s", "without a space"),
            ("203.0.113.1 1h 30m", "without a space"),
            ("203.0.113.1 1700000000", "time stamp"),
            ("add x 203.0.113.1 timeout 1700000000", "time stamp"),
            ("203.0.113.1 ssh 1h", "`1h`: write the duration before"),
            (
                "203.0.113.1 ssh for 600",
                "`600`: write the duration before",
            ),
            ("203.0.113.1;1h", "columns"),
            ("203.0.113.1;203.0.113.2", "columns"),
            ("203.0.113.0,24", "columns"),
            ("flush x", "command of `ipset`"),
            ("create x hash:ip family inet", "command of `ipset`"),
            ("quit", "command of `ipset`"),
            ("{\"cidr\":\"203.0.113.0/24\"}", "jq"),
            ("203.0.113.1\r203.0.113.2", "carriage return"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn host_bits_are_cleared_where_that_is_asked_for() {
        let read = |line| {
            let line = BanLine::read(line, HostBits::Cleared).unwrap().unwrap();
            let words = [line.term, line.reason]
                .map(Option::unwrap_or_default)
                .join(" ");
            (line.addresses, words, line.masked.map(Cow::into_owned))
        };
        let case = |addresses: &str, words: &str, masked: Option<&str>| {
            (
                addresses.to_owned(),
                words.to_owned(),
                masked.map(str::to_owned),
            )
        };
        for (line, expected) in [
            (
                "2001:db8:1:2::5/64",
                case("2001:db8:1:2::/64", " ", Some("2001:db8:1:2::5/64")),
            ),
            (
                "  192.0.2.9/24\t1h a 192.0.2.9/24 b # c",
                case("192.0.2.0/24", "1h a 192.0.2.9/24 b", Some("192.0.2.9/24")),
            ),
            (
                "192.0.2.9 255.255.255.0 sshd",
                case("192.0.2.0/24", " sshd", Some("192.0.2.9 255.255.255.0")),
            ),
            ("192.0.2.9 1h", case("192.0.2.9", "1h ", None)),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
        for line in [
            "192.0.2.9/33",
            "192.0.2.9/24,198.51.100.1",
            "192.0.2.9/24;198.51.100.1",
            "add x 192.0.2.9/24",
        ] {
            assert!(BanLine::read(line, HostBits::Cleared).is_err(), "{line}");
        }
        assert!(BanLine::read("192.0.2.9/24", HostBits::Refused).is_err());
    }

    #[test]
    fn what_the_socket_reads_a_line_means_too() {
        for text in [
            "192.0.2.1",
            "192.0.2.0/24",
            "192.0.2.0/255.255.255.0",
            "192.0.2.0 255.255.255.0",
            "192.0.2.1-192.0.2.9",
            "192.0.2.1 - 192.0.2.9",
            "192.0.2.1-9",
            "::ffff:192.0.2.1",
            "::ffff:192.0.2.0/120",
            "2001:db8::/32",
            "2001:db8::1-2001:db8::9",
        ] {
            let line = BanLine::read(text, HostBits::Refused).unwrap().unwrap();
            assert_eq!(
                prefixes_of(line.range),
                read_prefixes(text).unwrap(),
                "{text}"
            );
            // What goes to the daemon means the same.
            assert_eq!(
                prefixes_of(line.range),
                read_prefixes(&line.addresses).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn no_character_of_a_line_reaches_the_terminal_as_an_order() {
        let error = read("\u{1b}]0;title\u{7}x 1h").unwrap_err();
        assert!(error.contains("`\\u{1b}]0`"), "{error}");
        let error = read("203.0.113.1\u{200b}").unwrap_err();
        assert!(error.contains("`203.0.113.1\\u{200b}`"), "{error}");
    }
}
