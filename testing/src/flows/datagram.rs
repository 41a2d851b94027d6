//! What a packet is.

use std::net::IpAddr;

use rules::packet::Packet;

/// A packet, as its sender means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its source.
    pub src: IpAddr,
    /// Its destination.
    pub dst: IpAddr,
    /// Its content.
    pub content: Content,
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
    /// An ICMP error about a packet.
    Error(Box<Datagram>),
    /// An ICMP message that is neither an echo nor an error: a timestamp request or a multicast listener report.
    Message,
}

impl Datagram {
    /// The frame that carries it.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let is_ipv6 = self.dst.is_ipv6();
        let packet = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Packet::ipv4(src, dst),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Packet::ipv6(src, dst),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Packet::ethertype(0x88b5)
            }
        };
        let icmp = |packet: Packet, [of_ipv4, of_ipv6]: [u8; 2]| {
            if is_ipv6 {
                packet.icmpv6(of_ipv6, 0)
            } else {
                packet.icmp(of_ipv4, 0)
            }
        };
        match &self.content {
            &Content::Tcp {
                sport,
                dport,
                flags,
                payload,
            } => {
                let data: &[u8] = if payload { b"data" } else { b"" };
                packet.tcp(sport, dport, flags).payload(data).build()
            }
            &Content::Udp { sport, dport } => packet.udp(sport, dport).payload(b"data").build(),
            &Content::Echo { id, asks } => {
                let kinds = if asks { [8, 128] } else { [0, 129] };
                let mut frame = icmp(packet, kinds).payload(b"data").build();
                let at = 14 + if is_ipv6 { 40 } else { 20 } + 4;
                frame[at..at + 2].copy_from_slice(&id.to_be_bytes());
                frame
            }
            &Content::Protocol(number) => packet.protocol(number).payload(b"data").build(),
            Content::Error(about) => {
                let inner = about.frame();
                icmp(packet, [3, 1]).payload(&inner[14..]).build()
            }
            Content::Message => icmp(packet, [13, 143]).build(),
        }
    }
}
