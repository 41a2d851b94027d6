//! The kinds of packets, each with a section of its own.

use std::fmt;

/// A kind of packet, with a section of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Every other EtherType.
    Other,
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Other => "other",
        })
    }
}
