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
mod read;
mod subject;
mod words;

pub use self::{
    read::{Described, read},
    words::Fault,
};
