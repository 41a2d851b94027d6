//! A notation for packets: from a line such as `tcp 203.0.113.9:4444 > 192.0.2.1:22 syn` to the
//! bytes of a frame.
//!
//! This module owns the notation and the defaults of what a line leaves out: lengths and checksums
//! are correct, and bodies are what a host would send. It knows directions, and must not know rules.
//!
//! ```text
//! packet    = [ "in" | "out" ] subject { option }
//! subject   = protocol endpoint ">" endpoint
//!           | "arp" address ">" address
//!           | "ethertype" number
//!           | "hex" digits { digits }
//! protocol  = name | number
//! endpoint  = IPv4 [ ":" port ] | IPv6 | "[" IPv6 "]" [ ":" port ]
//! ```
//!
//! The code that reads options documents their grammar.

mod about;
mod bodies;
mod build;
mod options;
mod read;
mod subject;
mod words;

pub use self::{
    read::{Described, read, with_context},
    words::Fault,
};
