//! A notation for packets: from a line such as `tcp 203.0.113.9:4444 > 192.0.2.1:22 syn` to the
//! bytes of a frame.
//!
//! This module owns the notation and what a packet has that a line does not say: lengths and
//! checksums are right, and bodies are those of packets that are sent. It knows nothing of rules.
//!
//! ```text
//! packet    = subject { option }
//! subject   = protocol endpoint ">" endpoint
//!           | "arp" address ">" address
//!           | "ethertype" number
//!           | "hex" digits { digits }
//! protocol  = name | number
//! endpoint  = IPv4 [ ":" port ] | IPv6 | "[" IPv6 "]" [ ":" port ]
//! option    = flag { "," flag } | "null"                                  of TCP
//!           | type [ "/" code ]                                           of ICMP and ICMPv6
//!           | "hop-by-hop" | "routing" | "destination" | "ah"             of IPv6, in order
//!           | "fragment" offset [ "+" ]                                   of IP
//!           | "ttl" number | "dscp" number | "length" bytes               of IP
//!           | "payload" bytes
//!           | "vlan" [ tpid "/" ] id | "src_mac" mac | "dst_mac" mac
//!           | "truncate" bytes | "interface" name
//! ```

mod bodies;
mod build;
mod options;
mod subject;
mod words;

pub use self::words::Fault;
use self::{options::Options, subject::Subject, words::Words};

/// A packet that was read from the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The frame, from the Ethernet header on, without the frame check sequence.
    pub frame: Vec<u8>,
    /// The interface on which it arrives, if the notation names one.
    pub interface: Option<String>,
}

/// Reads a packet in the notation.
///
/// # Errors
///
/// The first thing that is wrong with it, and where.
///
/// # Examples
///
/// ```
/// let packet = rules::notation::read("tcp 203.0.113.9:4444 > 192.0.2.1:22 syn").unwrap();
/// assert_eq!(packet.frame.len(), 14 + 20 + 20);
///
/// let fault = rules::notation::read("tcp 203.0.113.9 > 192.0.2.1:22").unwrap_err();
/// assert_eq!(fault.message, "a packet of `tcp` has ports");
/// assert_eq!(fault.at, 4..15);
/// ```
pub fn read(text: &str) -> Result<Described, Fault> {
    let mut words = Words::of(text);
    let subject = Subject::read(&mut words)?;
    let options = Options::read(&mut words, &subject)?;
    let frame = build::frame(&subject, &options)?;
    Ok(Described {
        frame,
        interface: options.interface.map(|word| word.text.to_owned()),
    })
}
