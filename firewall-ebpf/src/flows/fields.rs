//! What a flow needs to know of a packet, read from it.

use super::transport::{Protocol, Transport, is_icmp};
use crate::{
    packet::Packet,
    parse::{Headers, ethertype, present, protocol},
};

/// Echo requests and replies of ICMP (RFC 792) and ICMPv6 (RFC 4443).
const ECHO_REQUEST: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];

const FIN: u8 = 1;

/// The protocol, ports and flags of a packet with these headers that is no ICMP message.
///
/// Later fragments have no ports, and belong to no flow where ports or messages tell flows apart.
#[inline(always)]
pub fn transport_of(headers: &Headers) -> Transport {
    let is_ipv6 = headers.has(present::IPV6);
    let number = headers.key as u8;
    if headers.has(present::TCP) {
        let upper = Transport::new(Protocol::Tcp, headers.sport, headers.dport, is_ipv6);
        return upper.with_flags(number);
    }
    if headers.has(present::PORTS) && number == protocol::UDP {
        return Transport::new(Protocol::Udp, headers.sport, headers.dport, is_ipv6);
    }
    let needs_more = matches!(number, protocol::TCP | protocol::UDP) || is_icmp(number, is_ipv6);
    if needs_more || !headers.has_address() {
        return Transport::NONE;
    }
    let number = u16::from(number);
    Transport::new(Protocol::Other, number, number, is_ipv6)
}

/// An ICMP message: where its IP header is, and of what type it is, in one word.
///
/// | bits | |
/// | --- | --- |
/// | 0-31 | the offset of the IP header |
/// | 32 | whether it is ICMPv6 |
/// | 40-47 | the type |
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Message(u64);

impl Message {
    /// The message that a packet with these headers is, which must have [`present::ICMP`].
    #[must_use]
    #[inline(always)]
    pub fn new(headers: &Headers) -> Self {
        let kind = u64::from(headers.icmp >> 8) << 40;
        let family = u64::from(headers.bit(present::IPV6)) << 32;
        Self(u64::from(headers.network) | family | kind)
    }

    /// The message in a word.
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

    #[inline(always)]
    const fn network(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    const fn is_ipv6(self) -> bool {
        self.0 >> 32 & 1 != 0
    }

    #[inline(always)]
    const fn kind(self) -> u8 {
        (self.0 >> 40) as u8
    }

    /// Whether the message is an error: destination unreachable, source quench, redirect, time exceeded,
    /// parameter problem (RFC 792), types 1 to 4 of ICMPv6 (RFC 4443).
    #[must_use]
    #[inline(always)]
    pub const fn is_error(self) -> bool {
        const OF_IPV4: u32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 11 | 1 << 12;
        const OF_IPV6: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4;
        let errors = if self.is_ipv6() { OF_IPV6 } else { OF_IPV4 };
        self.kind() < 32 && errors >> (self.kind() & 31) & 1 != 0
    }

    /// Protocol and identifier if the message is an echo request or reply, whose identifier `id` reads.
    #[inline(always)]
    pub fn echo(self, id: impl Fn() -> u16) -> Transport {
        let family = usize::from(self.is_ipv6());
        let asks = self.kind() == ECHO_REQUEST[family];
        if !asks && self.kind() != ECHO_REPLY[family] {
            return Transport::NONE;
        }
        let id = id();
        Transport::new(Protocol::Echo, id, id, self.is_ipv6()).asking(asks)
    }

    /// The offset of the message; `None` behind IPv6 extension headers.
    #[inline(always)]
    fn at<P: Packet + ?Sized>(self, packet: &P) -> Option<u32> {
        upper_at(packet, self.network(), self.is_ipv6(), protocol::ICMPV6)
    }

    /// The identifier of an echo; 0 if it cannot be read.
    #[inline(always)]
    pub fn echo_id<P: Packet + ?Sized>(self, packet: &P) -> u16 {
        let id = self.at(packet).and_then(|at| packet.load(at + 4));
        id.map_or(0, u16::from_be_bytes)
    }

    /// The packet that an error is about, as it was sent; `None` if it cannot be read, or if it was not sent by whom
    /// the error is for.
    #[inline(always)]
    pub fn about<P: Packet + ?Sized>(self, packet: &P, to: [u64; 2]) -> Option<InvokingPacket> {
        let is_ipv6 = self.is_ipv6();
        let at = packet.opaque(u64::from(self.at(packet)? + 8)) as u32;
        let word = |offset: u32| packet.load(at + offset).map(u64::from_be_bytes);
        let (src, dst, number) = if is_ipv6 {
            let [number, _]: [u8; 2] = packet.load(at + 6)?;
            ([word(8)?, word(16)?], [word(24)?, word(32)?], number)
        } else {
            let fragment = u16::from_be_bytes(packet.load(at + 6)?);
            if fragment & 0x1fff != 0 {
                return None;
            }
            let [_, number]: [u8; 2] = packet.load(at + 8)?;
            let addresses = word(12)?;
            ([addresses >> 32 << 32, 0], [addresses << 32, 0], number)
        };
        if src != to {
            return None;
        }
        let upper = upper_at(packet, at, is_ipv6, number)?;
        let upper = packet.opaque(u64::from(upper)) as u32;
        let first: [u8; 4] = packet.load(upper)?;
        let ports = [
            u16::from_be_bytes([first[0], first[1]]),
            u16::from_be_bytes([first[2], first[3]]),
        ];
        let [sport, dport] = ports;
        let transport = if number == protocol::TCP {
            Transport::new(Protocol::Tcp, sport, dport, is_ipv6)
        } else if number == protocol::UDP {
            Transport::new(Protocol::Udp, sport, dport, is_ipv6)
        } else if is_icmp(number, is_ipv6) {
            if first[0] != ECHO_REQUEST[usize::from(is_ipv6)] {
                return None;
            }
            let id = u16::from_be_bytes(packet.load(upper + 4)?);
            Transport::new(Protocol::Echo, id, id, is_ipv6)
        } else {
            Transport::new(Protocol::Other, number.into(), number.into(), is_ipv6)
        };
        Some(InvokingPacket {
            src,
            dst,
            transport,
            ports,
            number,
        })
    }
}

/// The packet that an ICMP error is about (RFC 4443, section 2.4), as far as errors quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvokingPacket {
    /// Its source, in two words as in [`Headers`].
    pub src: [u64; 2],
    /// Its destination, likewise.
    pub dst: [u64; 2],
    /// The rest that a flow is known by.
    pub transport: Transport,
    ports: [u16; 2],
    number: u8,
}

impl InvokingPacket {
    /// The packet in words.
    #[must_use]
    #[inline(always)]
    pub const fn to_words(&self) -> [u64; 6] {
        let [sport, dport] = self.ports;
        let rest = (self.number as u64) << 32 | (dport as u64) << 16 | sport as u64;
        [
            self.src[0],
            self.src[1],
            self.dst[0],
            self.dst[1],
            self.transport.bits(),
            rest,
        ]
    }

    /// The packet that was put in words.
    #[must_use]
    #[inline(always)]
    pub const fn from_words(words: [u64; 6]) -> Self {
        let [src, src_low, dst, dst_low, transport, rest] = words;
        Self {
            src: [src, src_low],
            dst: [dst, dst_low],
            transport: Transport::from_bits(transport),
            ports: [rest as u16, (rest >> 16) as u16],
            number: (rest >> 32) as u8,
        }
    }

    /// The headers of the packet in that it may answer; `None` if it answers none: an echo request.
    #[inline(always)]
    pub fn answered<P: Packet + ?Sized>(&self, packet: &P) -> Option<Headers> {
        if self.transport.protocol() == Protocol::Echo as u32 {
            return None;
        }
        let (family, ethertype) = if self.transport.is_ipv6() {
            (present::IPV6, ethertype::IPV6)
        } else {
            (present::IPV4, ethertype::IPV4)
        };
        let (upper, [sport, dport]) = if self.transport.is_tcp() {
            (present::TCP | present::PORTS, self.ports)
        } else if protocol::has_ports(self.number) {
            (present::PORTS, self.ports)
        } else {
            (0, [0; 2])
        };
        let headers = Headers {
            src_high: self.src[0],
            src_low: self.src[1],
            dst_high: self.dst[0],
            dst_low: self.dst[1],
            present: family | upper,
            ethertype,
            sport,
            dport,
            protocol: self.number,
            key: self.number.into(),
            ..Headers::default()
        };
        Some(headers.reversed(packet))
    }
}

/// The offset of the upper-layer header of an IP packet; `None` behind IPv6 extension headers.
#[inline(always)]
pub(super) fn upper_at<P: Packet + ?Sized>(
    packet: &P,
    network: u32,
    is_ipv6: bool,
    number: u8,
) -> Option<u32> {
    if is_ipv6 {
        let [next, _] = packet.load(network + 6)?;
        return (next == number).then_some(network + 40);
    }
    let [first, _]: [u8; 2] = packet.load(network)?;
    Some(network + u32::from(first & 0xf) * 4)
}

/// Whether a TCP segment says something: it has payload or FIN. A pure ACK says nothing, and one behind IPv6 extension headers is
/// taken for one.
#[inline(always)]
pub fn says_something<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> bool {
    headers.key as u8 & FIN != 0 || has_payload(packet, headers).unwrap_or(false)
}

#[inline(always)]
fn has_payload<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> Option<bool> {
    let is_ipv6 = headers.has(present::IPV6);
    let network = headers.network;
    let at = upper_at(packet, network, is_ipv6, protocol::TCP)?;
    let at = packet.opaque(u64::from(at)) as u32;
    let [offset, _] = packet.load(at + 12)?;
    let payload = at + u32::from(offset >> 4) * 4;
    let (length, header) = if is_ipv6 { (4, 40) } else { (2, 0) };
    let stated = u32::from(u16::from_be_bytes(packet.load(network + length)?));
    // The header of a packet that is still to be cut may not say how long it is.
    let end = if stated == 0 {
        packet.len()
    } else {
        network + header + stated
    };
    Some(end > payload)
}
