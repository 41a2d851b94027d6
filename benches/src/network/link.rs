//! A link, and packets on it.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet::util::MacAddr;

use super::End;
use crate::packet::Packet;

/// A veth pair.
#[derive(Clone, Debug)]
pub struct Link {
    /// The end in the host's namespace, where a firewall attaches.
    pub host: End,
    /// The end in the peer's namespace.
    pub peer: End,
}

impl Link {
    /// The names and addresses of link `number`, from the ranges for documentation (RFC 5737,
    /// RFC 3849, RFC 7042).
    pub(crate) fn plan(number: u8) -> Self {
        let end = |interface: &str, place: u8| End {
            interface: format!("{interface}{number}"),
            index: 0,
            mac: MacAddr(0x00, 0x00, 0x5e, 0x00, 0x53, number * 2 + place),
            ipv4: Ipv4Addr::new(192, 0, 2, number * 16 + place),
            ipv6: Ipv6Addr::new(
                0x2001,
                0xdb8,
                0,
                u16::from(number),
                0,
                0,
                0,
                u16::from(place),
            ),
        };
        Self {
            host: end("fw-host", 1),
            peer: end("fw-peer", 2),
        }
    }

    /// Starts an IPv4 packet from the peer's address to the host's.
    #[must_use]
    pub fn ipv4(&self) -> Packet {
        self.ipv4_from(self.peer.ipv4)
    }

    /// Starts an IPv4 packet from another source, through the peer, to the host's address.
    #[must_use]
    pub fn ipv4_from(&self, src: Ipv4Addr) -> Packet {
        self.to_host(Packet::ipv4(src, self.host.ipv4))
    }

    /// Starts an IPv6 packet from the peer's address to the host's.
    #[must_use]
    pub fn ipv6(&self) -> Packet {
        self.ipv6_from(self.peer.ipv6)
    }

    /// Starts an IPv6 packet from another source, through the peer, to the host's address.
    #[must_use]
    pub fn ipv6_from(&self, src: Ipv6Addr) -> Packet {
        self.to_host(Packet::ipv6(src, self.host.ipv6))
    }

    /// Gives a packet the hardware addresses of the way from the peer to the host.
    #[must_use]
    pub fn to_host(&self, packet: Packet) -> Packet {
        packet.macs(self.peer.mac, self.host.mac)
    }
}
