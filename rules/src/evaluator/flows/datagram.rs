//! What a packet is to flows.

use std::net::IpAddr;

/// A packet, as its sender means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its source.
    pub src: IpAddr,
    /// Its destination.
    pub dst: IpAddr,
    /// Its content.
    pub content: Content,
    /// Which fragment it is, if it is one.
    pub fragment: Option<FragmentHeader>,
}

/// Which fragment of a packet a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// The identification that the fragments of the packet share.
    pub id: u32,
    /// The protocol, which they share in IPv4 (RFC 791, section 3.2); 0 in IPv6.
    pub protocol: u8,
    /// Whether it is not the first.
    pub is_later: bool,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A TCP segment.
    Tcp {
        /// The source port.
        sport: u16,
        /// The destination port.
        dport: u16,
        /// The flags.
        flags: u8,
        /// The sequence number and the acknowledgment number; `None` if they are not read.
        numbers: Option<[u32; 2]>,
        /// Whether it has payload.
        payload: bool,
    },
    /// A UDP datagram.
    Udp {
        /// The source port.
        sport: u16,
        /// The destination port.
        dport: u16,
    },
    /// An echo request or reply.
    Echo {
        /// Its identifier.
        id: u16,
        /// Whether it is a request.
        asks: bool,
    },
    /// Another protocol, by its number.
    Protocol(u8),
    /// An ICMP error about a packet; `None` if that packet cannot be read.
    Error(Option<Box<Datagram>>),
    /// What belongs to no flow: an ICMP message that is neither an echo nor an error, or a later fragment of TCP, UDP or
    /// ICMP.
    Message,
}
