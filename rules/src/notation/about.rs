//! The packet that an ICMP error is about.

use super::{
    build,
    options::Options,
    subject::{Ip, Subject},
    words::{Fault, Words},
};
use crate::{
    field::{Family, family_name},
    text::quoted,
};

/// The bytes of a frame before its IP header.
const ETHERNET: usize = 14;

/// Reads the packet that an error with these options is about, if they say so, and returns it from its IP header on.
pub(super) fn quoted_packet(
    words: &mut Words<'_>,
    error: &Subject<'_>,
    options: &Options<'_>,
) -> Result<Option<Vec<u8>>, Fault> {
    let (Some(word), Subject::Ip(error)) = (options.about, error) else {
        return Ok(None);
    };
    if !options.icmp.is_some_and(|(kind, _)| is_error(error, kind)) {
        let fault = word.fault("only ICMP errors are about a packet");
        let help = "write the type of the error before it, as in `time-exceeded about udp ...`";
        return Err(fault.help(help));
    }
    let first = words.peek();
    let subject = Subject::read(words)?;
    let family = |subject: &Subject<'_>| match subject {
        Subject::Ip(ip) => Some(ip.family()),
        Subject::Arp { .. } | Subject::EtherType(_) | Subject::Bytes(_) => None,
    };
    if family(&subject) != Some(error.family()) {
        let message = format!(
            "an error of {} is about a packet of {}",
            quoted(error.name.text),
            family_name(error.family())
        );
        return Err(first.unwrap_or(word).fault(message));
    }
    let options = Options::read(words, &subject, None)?;
    let about = quoted_packet(words, &subject, &options)?;
    let mut frame = build::frame(&subject, &options, about)?;
    Ok(Some(frame.split_off(ETHERNET.min(frame.len()))))
}

/// Whether messages of this type are errors: RFC 792, RFC 4443.
fn is_error(ip: &Ip<'_>, kind: u8) -> bool {
    match ip.family() {
        Family::Ipv4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Family::Ipv6 => matches!(kind, 1..=4),
    }
}
