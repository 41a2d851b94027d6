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
//! ```
//!
//! What an `option` is stands with the code that reads them.

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
