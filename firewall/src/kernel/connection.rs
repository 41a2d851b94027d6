//! A connection that the kernel knows of, before any table of ours does.

use std::net::{IpAddr, SocketAddr};

use firewall_ebpf::flows::{FlowProgress, Protocol, Transport};

/// The number of ICMP (RFC 792).
const ICMP: u8 = 1;
/// The number of TCP (RFC 9293).
const TCP: u8 = 6;
/// The number of UDP (RFC 768).
const UDP: u8 = 17;
/// The number of ICMPv6 (RFC 4443).
const ICMPV6: u8 = 58;

/// A connection, as its packets are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KnownConnection {
    /// The number of the protocol.
    pub(crate) protocol: u8,
    /// The end that began it, or that of this machine where that is not known. Of an echo both
    /// ports are its identifier; protocols without ports have 0.
    pub(crate) source: SocketAddr,
    /// The other end.
    pub(crate) destination: SocketAddr,
    /// What it has come to.
    pub(crate) progress: FlowProgress,
}

impl KnownConnection {
    /// The same, begun by the other end.
    pub(crate) fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            progress: self.progress.reversed(),
            ..*self
        }
    }

    /// Whether it is one of echo requests.
    pub(crate) fn is_echo(&self) -> bool {
        self.protocol == self.icmp()
    }

    fn icmp(&self) -> u8 {
        if self.source.is_ipv6() { ICMPV6 } else { ICMP }
    }

    /// Protocol and ports, as the table of flows has them.
    pub(super) fn transport(&self) -> Transport {
        let protocol = match self.protocol {
            TCP => Protocol::Tcp,
            UDP => Protocol::Udp,
            number if number == self.icmp() => Protocol::Echo,
            _ => Protocol::Other,
        };
        let (sport, dport) = match protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Echo => {
                (self.source.port(), self.destination.port())
            }
            Protocol::Other => (self.protocol.into(), self.protocol.into()),
        };
        Transport::new(protocol, sport, dport, self.source.is_ipv6())
    }
}

/// An address in two words, as the programs have it.
pub(super) fn words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [u64::from(address.to_bits()) << 32, 0],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [(bits >> 64) as u64, bits as u64]
        }
    }
}
