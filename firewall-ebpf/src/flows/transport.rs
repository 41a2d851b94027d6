//! What a flow needs to know of a packet besides its addresses, in one word: functions of their own
//! in the kernel take five numbers at most.

use crate::parse::protocol;

/// The protocols that flows are told apart by. All but the last are known by what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp = 0,
    /// UDP.
    Udp = 1,
    /// Echo of ICMP or ICMPv6.
    Echo = 2,
    /// Any other protocol, whose number takes the place of the ports.
    Other = 3,
}

impl Protocol {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Echo, Self::Other];
}

/// Protocol, ports and flags of a packet.
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | the source port; of an echo its identifier, of another protocol its number |
/// | 16-31 | the destination port, likewise |
/// | 32-33 | the number of the [`Protocol`] |
/// | 34 | whether the packet has a flow at all |
/// | 35 | whether it is IPv6 |
/// | 36 | whether it is an echo request |
/// | 37 | whether it is a segment out of an established connection that a packet in began |
/// | 40-47 | the TCP flags |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport(u64);

impl Transport {
    const PROTOCOL: u32 = 32;
    const HAS_FLOW: u64 = 1 << 34;
    const IPV6: u64 = 1 << 35;
    const ASKS: u64 = 1 << 36;
    const ESTABLISHED: u64 = 1 << 37;
    const FLAGS: u32 = 40;

    /// FIN, SYN, RST, ACK and URG of the TCP flags.
    pub(super) const FIN: u64 = 0x01 << Self::FLAGS;
    pub(super) const SYN: u64 = 0x02 << Self::FLAGS;
    pub(super) const RST: u64 = 0x04 << Self::FLAGS;
    pub(super) const ACK: u64 = 0x10 << Self::FLAGS;

    /// Those of a packet that belongs to no flow.
    pub const NONE: Self = Self(0);

    /// Those of a packet of a protocol with these ports.
    #[must_use]
    #[inline(always)]
    pub const fn new(kind: Protocol, sport: u16, dport: u16, is_ipv6: bool) -> Self {
        let family = if is_ipv6 { Self::IPV6 } else { 0 };
        let kind = (kind as u64) << Self::PROTOCOL;
        Self(sport as u64 | (dport as u64) << 16 | kind | Self::HAS_FLOW | family)
    }

    /// The same with TCP flags.
    #[must_use]
    #[inline(always)]
    pub const fn with_flags(self, flags: u8) -> Self {
        Self(self.0 | (flags as u64) << Self::FLAGS)
    }

    /// The same for an echo request, if `asks`.
    #[must_use]
    #[inline(always)]
    pub const fn asking(self, asks: bool) -> Self {
        Self(if asks { self.0 | Self::ASKS } else { self.0 })
    }

    /// The same for a segment out of an established connection that a packet in began.
    #[must_use]
    #[inline(always)]
    pub const fn established(self) -> Self {
        Self(self.0 | Self::ESTABLISHED)
    }

    #[inline(always)]
    pub(super) const fn is_established(self) -> bool {
        self.0 & Self::ESTABLISHED != 0
    }

    /// Those in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the packet has a flow.
    #[must_use]
    #[inline(always)]
    pub const fn has_flow(self) -> bool {
        self.0 & Self::HAS_FLOW != 0
    }

    /// Whether the packet is IPv6.
    #[must_use]
    #[inline(always)]
    pub const fn is_ipv6(self) -> bool {
        self.0 & Self::IPV6 != 0
    }

    #[inline(always)]
    pub(super) const fn asks(self) -> bool {
        self.0 & Self::ASKS != 0
    }

    /// The number of the [`Protocol`].
    #[must_use]
    #[inline(always)]
    pub const fn protocol(self) -> u32 {
        (self.0 >> Self::PROTOCOL) as u32 & 3
    }

    /// Whether the packet is a TCP segment.
    #[must_use]
    #[inline(always)]
    pub const fn is_tcp(self) -> bool {
        self.protocol() == Protocol::Tcp as u32
    }

    /// The source port, as in the table above.
    #[must_use]
    #[inline(always)]
    pub const fn sport(self) -> u64 {
        self.0 & 0xffff
    }

    /// The destination port, likewise.
    #[must_use]
    #[inline(always)]
    pub const fn dport(self) -> u64 {
        self.0 >> 16 & 0xffff
    }

    /// Whether the packet has all of these flags, as those above are written.
    #[inline(always)]
    pub(super) const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// Whether the packet has any of these flags.
    #[inline(always)]
    pub(super) const fn has_any(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    /// Whether the packet opens a TCP connection: SYN without ACK and RST.
    #[inline(always)]
    pub(super) const fn opens(self) -> bool {
        self.is_tcp() && self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::SYN
    }

    /// Whether the packet answers a SYN: SYN and ACK without RST.
    #[inline(always)]
    pub(super) const fn accepts(self) -> bool {
        let flags = Self::SYN | Self::ACK;
        self.is_tcp() && self.0 & (flags | Self::RST) == flags
    }

    /// Whether the packet may acknowledge a SYN,ACK: ACK without SYN and RST.
    #[inline(always)]
    pub(super) const fn acknowledges(self) -> bool {
        self.is_tcp() && self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::ACK
    }

    /// Whether no TCP segment has these flags: what conntrack refuses (`tcp_valid_flags`,
    /// `net/netfilter/nf_conntrack_proto_tcp.c`), which ignores PSH, ECE and CWR.
    #[must_use]
    #[inline(always)]
    pub const fn is_invalid(self) -> bool {
        // A bit for each combination of FIN, SYN, RST, ACK and URG, in this order from bit 0.
        const VALID: u32 = 1 << 0b00010  // SYN
            | 1 << 0b10010               // SYN, URG
            | 1 << 0b01010               // SYN, ACK
            | 1 << 0b00100               // RST
            | 1 << 0b01100               // RST, ACK
            | 1 << 0b01001               // FIN, ACK
            | 1 << 0b11001               // FIN, ACK, URG
            | 1 << 0b01000               // ACK
            | 1 << 0b11000; // ACK, URG
        let flags = (self.0 >> Self::FLAGS) as u32;
        let index = flags & 0b111 | flags >> 1 & 0b11000;
        self.is_tcp() && VALID >> index & 1 == 0
    }
}

/// Whether a number is that of ICMP in its family.
#[inline(always)]
pub(super) const fn is_icmp(number: u8, is_ipv6: bool) -> bool {
    number
        == if is_ipv6 {
            protocol::ICMPV6
        } else {
            protocol::ICMP
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_valid_as_conntrack_has_them() {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        const PSH: u8 = 8;
        const ACK: u8 = 16;
        const URG: u8 = 32;
        const VALID: [u8; 9] = [
            SYN,
            SYN | URG,
            SYN | ACK,
            RST,
            RST | ACK,
            FIN | ACK,
            FIN | ACK | URG,
            ACK,
            ACK | URG,
        ];
        for flags in 0..=u8::MAX {
            let upper = Transport::new(Protocol::Tcp, 1, 2, false).with_flags(flags);
            let without = flags & !(PSH | 0xc0);
            assert_eq!(!upper.is_invalid(), VALID.contains(&without), "{flags:#x}");
            let of_udp = Transport::new(Protocol::Udp, 1, 2, false).with_flags(flags);
            assert!(!of_udp.is_invalid());
        }
    }
}
