//! The header fields that determine a verdict.

use std::net::IpAddr;

use crate::packet::{Packet, protocol};

/// The fields of a packet that rules on addresses, ports and TCP flags use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The source address, of the same family as `dst`.
    pub src: IpAddr,
    /// The destination address.
    pub dst: IpAddr,
    /// The L4 protocol number.
    pub protocol: u8,
    /// The source port; 0 when the protocol has none.
    pub sport: u16,
    /// The destination port; 0 when the protocol has none.
    pub dport: u16,
    /// The TCP flags byte (FIN = 1, ..., CWR = 128); 0 when the protocol is not TCP.
    pub tcp_flags: u8,
}

impl Tuple {
    /// The shortest packet with these fields; `None` when the addresses differ in family. ICMP and
    /// ICMPv6 are echo requests; protocols unknown to the builder have no header.
    #[must_use]
    pub fn packet(&self) -> Option<Packet> {
        let packet = Packet::ip(self.src, self.dst)?;
        Some(match self.protocol {
            protocol::TCP => packet.tcp(self.sport, self.dport, self.tcp_flags),
            protocol::UDP => packet.udp(self.sport, self.dport),
            protocol::UDP_LITE => packet.udp_lite(self.sport, self.dport),
            protocol::SCTP => packet.sctp(self.sport, self.dport),
            protocol::DCCP => packet.dccp(self.sport, self.dport),
            protocol::ICMP => packet.icmp(8, 0),
            protocol::ICMPV6 => packet.icmpv6(128, 0),
            other => packet.protocol(other),
        })
    }
}
