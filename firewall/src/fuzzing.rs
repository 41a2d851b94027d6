//! What the fuzz targets of `fuzz/` claim about input that anybody may write: it is read or refused without a panic,
//! what is read is the same in its one form, and a refusal is one line that hides nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a target reports what it found"
)]

use rules::text::is_hidden;

use crate::{
    bans::{
        line::{BanLine, HostBits},
        prefix::{prefixes_of, read_prefixes},
        term::Term,
    },
    control::protocol::{Answer, Request},
};

/// A line on the standard input of `firewall ban -`.
///
/// # Panics
///
/// When a claim is false.
pub fn ban_line(line: &str) {
    for host_bits in [HostBits::Refused, HostBits::Cleared] {
        match BanLine::read(line, host_bits) {
            Ok(Some(read)) => {
                let prefixes = read_prefixes(&read.addresses);
                assert_eq!(prefixes, Ok(prefixes_of(read.range)), "{read:?}");
                assert!(read.term.is_none_or(|term| Term::parse(term).is_ok()));
                // The canonical line asks for the same.
                let (term, reason) = (read.term.unwrap_or("-"), read.reason.unwrap_or_default());
                let canonical = format!("{} {term} {reason}", read.addresses);
                let again = BanLine::read(&canonical, HostBits::Refused);
                let again =
                    again.map(|again| again.map(|again| (again.range, again.term.is_some())));
                assert_eq!(
                    again,
                    Ok(Some((read.range, read.term.is_some()))),
                    "{canonical}"
                );
            }
            Ok(None) => {}
            Err(message) => assert!(!message.contains(is_hidden), "{message:?}"),
        }
    }
}

/// A line on the control socket.
///
/// # Panics
///
/// When a claim is false.
pub fn request(line: &[u8]) {
    match Request::read(line) {
        Ok(request) => {
            let written = serde_json::to_string(&request).unwrap();
            assert_eq!(Request::read(written.as_bytes()), Ok(request));
        }
        Err(message) => {
            let answer = Answer::refused(format!("error: {message}"));
            let written = serde_json::to_string(&answer).unwrap();
            assert!(!written.contains(is_hidden), "{written:?}");
            let again: Answer = serde_json::from_str(&written).unwrap();
            assert_eq!(again, answer);
        }
    }
}
