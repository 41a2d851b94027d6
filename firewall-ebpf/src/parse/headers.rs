//! The fields of a frame that the parser reads of every packet.

use super::ethertype;
use crate::{field::WITH_FLAGS, packet::Packet};

/// The fields of a frame.
///
/// Numbers are in host byte order. A field that the packet lacks is 0 and its bit in
/// [`Self::present`] is clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The source address: the most significant 64 bits. An IPv4 address fills the top 32 bits.
    pub src_high: u64,
    /// The source address: the least significant 64 bits of IPv6, 0 for IPv4.
    pub src_low: u64,
    /// The destination address, like [`Self::src_high`].
    pub dst_high: u64,
    /// The destination address, like [`Self::src_low`].
    pub dst_low: u64,
    /// Which of the fields below the packet has: the bits of [`present`].
    pub present: u32,
    /// The offset of what follows the EtherType: the IP header, if there is one.
    pub network: u32,
    /// The EtherType behind all VLAN tags.
    pub ethertype: u16,
    /// The source port.
    pub sport: u16,
    /// The destination port.
    pub dport: u16,
    /// ICMP or ICMPv6 message, `type << 8 | code`.
    pub icmp: u16,
    /// The upper-layer protocol, behind all IPv6 extension headers. In a later fragment of an
    /// IPv6 packet, what the fragment header names.
    pub protocol: u8,
    /// The TCP flags byte: FIN is 1, CWR is 128.
    pub tcp_flags: u8,
    /// The IPv4 time to live or the IPv6 hop limit.
    pub ttl: u8,
    /// What the lookup of [`Field::Protocol`](crate::field::Field::Protocol) has the class of.
    pub(crate) key: u16,
}

/// The bits of [`Headers::present`] from this one on are those of the state.
const STATE_SHIFT: u32 = 16;

/// The bits of [`Headers::present`].
pub mod present {
    /// The packet is IPv4.
    pub const IPV4: u32 = 1;
    /// The packet is IPv6.
    pub const IPV6: u32 = 2;
    /// The packet has ports.
    pub const PORTS: u32 = 4;
    /// The packet has TCP flags.
    pub const TCP: u32 = 8;
    /// The packet is an ICMP or ICMPv6 message.
    pub const ICMP: u32 = 16;
    /// The packet is a fragment: in IPv4 not the first or with more to follow, in IPv6 with a
    /// fragment header, even one that says that the packet is whole (RFC 6946).
    pub const FRAGMENT: u32 = 32;
    /// A link does not work without the packet: address resolution, neighbor discovery, or a
    /// query of a multicast router to its own link.
    ///
    /// A neighbor discovery message has the hop limit 255, which no router forwards (RFC 4861,
    /// section 6.1), and is no fragment (RFC 6980). A query has the hop limit 1 and a link-local
    /// source (RFC 2710, section 3); without an answer to it a switch stops forwarding multicast,
    /// and with it neighbor discovery. A query of IGMP has the time to live 1 and is sent to a group
    /// (RFC 3376, section 4), beyond the link only by multicast routing.
    pub const NEIGHBOR: u32 = 64;
    /// The packet is IP and ends in the first buffer of its frame.
    pub const IN_FIRST_BUFFER: u32 = 128;
    /// The IP packet is longer than its header can state.
    pub const OVERLONG: u32 = 256;
}

impl Headers {
    /// Whether every bit of `bits` is set in [`Self::present`].
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, bits: u32) -> bool {
        self.present & bits == bits
    }

    /// The same headers with the number of the packet's [`State`](crate::state::State), and opaque once more: what the
    /// verifier has learned of them since they were read would keep its paths apart.
    ///
    /// The state shares a word with [`Self::present`]: a number more that is kept across calls would double the
    /// verifier's work on Linux 7.3.
    #[must_use]
    #[inline(always)]
    pub fn with_state<P: Packet + ?Sized>(self, state: u32, packet: &P) -> Self {
        let present = self.present & !(3 << STATE_SHIFT) | state << STATE_SHIFT;
        Self { present, ..self }.opaque(packet)
    }

    /// The number of the state that [`Self::with_state`] has put there; 0 without.
    #[must_use]
    #[inline(always)]
    pub const fn state(&self) -> u32 {
        self.present >> STATE_SHIFT & 3
    }

    /// The headers of a packet in the other direction of the same flow: of TCP those of an acknowledgment.
    ///
    /// They are opaque once more: what the verifier has learned of these by then would keep its paths apart.
    #[must_use]
    #[inline(always)]
    pub fn reversed<P: Packet + ?Sized>(&self, packet: &P) -> Self {
        const ACK: u16 = 0x10;
        let key = if self.has(present::TCP) {
            WITH_FLAGS as u16 | ACK
        } else {
            self.key
        };
        let reversed = Self {
            src_high: self.dst_high,
            src_low: self.dst_low,
            dst_high: self.src_high,
            dst_low: self.src_low,
            sport: self.dport,
            dport: self.sport,
            key,
            ..*self
        };
        reversed.opaque(packet)
    }

    /// Whether the packet is IPv4 or IPv6.
    #[must_use]
    #[inline(always)]
    pub const fn has_address(&self) -> bool {
        self.present & (present::IPV4 | present::IPV6) != 0
    }

    /// 1 when the bit `flag` is set in [`Self::present`], else 0.
    #[inline(always)]
    pub(crate) const fn bit(&self, flag: u32) -> u32 {
        self.present >> flag.trailing_zeros() & 1
    }

    /// Returns the fields that are needed behind the parser, through [`Packet::opaque`]: what the
    /// verifier knows of them differs between the paths through the parser, and it would follow
    /// what comes next for each of them.
    #[inline(always)]
    pub(super) fn opaque<P: Packet + ?Sized>(self, packet: &P) -> Self {
        // Several in one word: each word costs a load and a place on the stack.
        let upper = packet.opaque(
            u64::from(self.dport)
                | u64::from(self.sport) << 16
                | u64::from(self.icmp) << 32
                | u64::from(self.key) << 48,
        );
        let network = packet.opaque(u64::from(self.present) << 32 | u64::from(self.network));
        Self {
            src_high: packet.opaque(self.src_high),
            src_low: packet.opaque(self.src_low),
            dst_high: packet.opaque(self.dst_high),
            dst_low: packet.opaque(self.dst_low),
            present: (network >> 32) as u32,
            network: network as u32,
            dport: upper as u16,
            sport: (upper >> 16) as u16,
            icmp: (upper >> 32) as u16,
            key: (upper >> 48) as u16,
            ..self
        }
    }

    /// The same headers, with [`Self::present`] opaque once more. After a branch on one of its bits the
    /// bit is a constant, and the verifier keeps the paths apart up to its last use.
    #[inline(always)]
    pub(crate) fn undecided<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self {
            present: packet.opaque(self.present.into()) as u32,
            ..self
        }
    }

    /// The bit [`present::NEIGHBOR`] if the packet is ARP or an ICMPv6 message that deserves it.
    #[inline(always)]
    pub(super) const fn neighbor(&self) -> u32 {
        const LISTENER_QUERY: u16 = 130;
        const ROUTER_SOLICITATION: u16 = 133;
        const REDIRECT: u16 = 137;
        const LINK_LOCAL: u64 = 0xfe80 >> 6;
        let is_neighbor = if self.has(present::IPV6 | present::ICMP) {
            !self.has(present::FRAGMENT)
                && match self.icmp >> 8 {
                    LISTENER_QUERY => self.ttl == 1 && self.src_high >> 54 == LINK_LOCAL,
                    ROUTER_SOLICITATION..=REDIRECT => self.ttl == 255,
                    _ => false,
                }
        } else {
            self.ethertype == ethertype::ARP
        };
        if is_neighbor { present::NEIGHBOR } else { 0 }
    }
}
