//! The packet parser: from the bytes of a frame to the fields that rules can name.
//!
//! This module owns what a field means on the wire. It knows nothing of rules. A frame whose
//! headers cannot be read to the end is not guessed at: it yields the [`Reason`] instead.

use crate::{
    abi::Reason,
    image::{NO_PROTOCOL, WITH_FLAGS},
    packet::Packet,
};

/// The most VLAN tags that a frame may carry.
pub const MAX_TAGS: u32 = 4;

/// The most IPv6 extension headers that a packet may carry.
pub const MAX_EXTENSIONS: u32 = 8;

/// EtherTypes (IEEE 802 numbers registry).
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// Address resolution.
    pub const ARP: u16 = 0x0806;
    /// A customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// A service VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// The tag of stacked VLANs before IEEE 802.1ad.
    pub const OLD_QINQ: u16 = 0x9100;

    /// Whether the EtherType is that of a tag, behind which another one follows.
    #[must_use]
    #[inline(always)]
    pub const fn is_tag(ethertype: u16) -> bool {
        matches!(ethertype, VLAN | SERVICE_VLAN | OLD_QINQ)
    }
}

/// Protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP, carried by IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6, carried by IPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDPLITE: u8 = 136;

    /// Whether packets of the protocol carry ports.
    #[must_use]
    pub const fn has_ports(protocol: u8) -> bool {
        matches!(protocol, TCP | UDP | DCCP | SCTP | UDPLITE)
    }
}

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
    /// What the lookup of [`Field::Protocol`](crate::image::Field::Protocol) has the class of.
    pub(crate) key: u16,
}

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
    /// A link does not work without the packet: address resolution, neighbour discovery, or a
    /// query of a multicast router to its own link.
    ///
    /// A neighbour discovery message has the hop limit 255, which no router forwards (RFC 4861,
    /// section 6.1), and is no fragment (RFC 6980). A query has the hop limit 1 and a link-local
    /// source (RFC 2710, section 3); without an answer to it a switch stops forwarding multicast,
    /// and with it neighbour discovery.
    pub const NEIGHBOUR: u32 = 64;
    /// The packet is IP and ends in the first buffer of its frame.
    pub const IN_FIRST_BUFFER: u32 = 128;
}

impl Headers {
    /// Whether every bit of `bits` is set in [`Self::present`].
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, bits: u32) -> bool {
        self.present & bits == bits
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
    fn opaque<P: Packet + ?Sized>(self, packet: &P) -> Self {
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

    /// The bit [`present::NEIGHBOUR`] if the packet deserves it.
    #[inline(always)]
    const fn neighbour(&self) -> u32 {
        const LISTENER_QUERY: u16 = 130;
        const ROUTER_SOLICITATION: u16 = 133;
        const REDIRECT: u16 = 137;
        const LINK_LOCAL: u64 = 0xfe80 >> 6;
        let is_neighbour = if self.has(present::IPV6 | present::ICMP) {
            !self.has(present::FRAGMENT)
                && match self.icmp >> 8 {
                    LISTENER_QUERY => self.ttl == 1 && self.src_high >> 54 == LINK_LOCAL,
                    ROUTER_SOLICITATION..=REDIRECT => self.ttl == 255,
                    _ => false,
                }
        } else {
            self.ethertype == ethertype::ARP
        };
        if is_neighbour { present::NEIGHBOUR } else { 0 }
    }
}

/// Reads the headers of a frame.
///
/// # Errors
///
/// [`Reason::Truncated`] when the frame ends inside a header or before the length that the IP
/// header states, [`Reason::Malformed`] when a header contradicts itself, and
/// [`Reason::TooManyTags`] or [`Reason::TooManyHeaders`] beyond [`MAX_TAGS`] and
/// [`MAX_EXTENSIONS`].
#[inline(always)]
pub fn parse<P: Packet + ?Sized>(packet: &P) -> Result<Headers, Reason> {
    let headers = match parse_plain(packet) {
        Some(headers) => headers,
        None => parse_any(packet)?,
    };
    Ok(headers.opaque(packet))
}

/// What [`parse_plain`] wants to know of an upper-layer protocol, by its number.
static PLAIN: [Plain; 256] = {
    let mut plain = [Plain::new(u16::MAX, 0, 0); 256];
    let (tcp, udp, icmp) = (protocol::TCP, protocol::UDP, protocol::ICMP);
    plain[tcp as usize] = Plain::new(20, present::PORTS | present::TCP, WITH_FLAGS as u16);
    plain[udp as usize] = Plain::new(8, present::PORTS, udp as u16);
    plain[icmp as usize] = Plain::new(4, present::ICMP, icmp as u16);
    plain
};

/// A word, so that it takes one load.
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | the shortest header; more than any packet has when the protocol is not plain |
/// | 16-31 | the key, without flags |
/// | 32-63 | the bits of [`present`] |
#[derive(Clone, Copy)]
struct Plain(u64);

impl Plain {
    const fn new(header_len: u16, present: u32, key: u16) -> Self {
        let present = present | present::IPV4 | present::IN_FIRST_BUFFER;
        Self(header_len as u64 | (key as u64) << 16 | (present as u64) << 32)
    }

    #[inline(always)]
    const fn header_len(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    const fn key(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline(always)]
    const fn present(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// All ones when a bit of [`present`] is set, else 0.
    #[inline(always)]
    const fn having(self, flag: u32) -> u64 {
        ((self.0 << (31 - flag.trailing_zeros())) as i64 >> 63) as u64
    }
}

/// A shortcut for what most packets are: TCP, UDP or ICMP in an IPv4 header without options and no
/// fragment, without a VLAN tag. `None` for all others, and for what is not right.
///
/// No branch depends on which of the protocols it is: that is as random as packets are.
#[inline(always)]
fn parse_plain<P: Packet + ?Sized>(packet: &P) -> Option<Headers> {
    const NETWORK: u32 = 14;
    const HEADER_LEN: i32 = 20;
    let [start, middle, addresses, first, end] = packet.plain()?;
    if start >> 40 != u64::from(ethertype::IPV4) << 8 | 0x45 {
        return None;
    }
    let total_len = (start >> 16) as u32 & 0xffff;
    let is_fragment = middle >> 48 & 0x3fff != 0;
    if is_fragment || NETWORK + total_len > packet.first_len() {
        return None;
    }
    let protocol = (middle >> 32) as u8;
    // Opaque, or else the compiler would make branches of a table that it knows.
    let plain = Plain(packet.opaque(PLAIN[usize::from(protocol)].0));
    let tcp = plain.having(present::TCP);
    // Negative when something is missing.
    let room = total_len as i32 - HEADER_LEN - i32::from(plain.header_len());
    let data_offset = ((end & 0xf000) as i32 - 0x5000) & tcp as i32;
    if room | data_offset < 0 {
        return None;
    }
    let flags = (end & tcp) as u8;
    let ports = first & plain.having(present::PORTS);
    let icmp = first & plain.having(present::ICMP);
    Some(Headers {
        src_high: addresses & !0xffff_ffff,
        src_low: 0,
        dst_high: addresses << 32,
        dst_low: 0,
        present: plain.present(),
        network: NETWORK,
        ethertype: ethertype::IPV4,
        sport: (ports >> 48) as u16,
        dport: (ports >> 32) as u16,
        icmp: (icmp >> 48) as u16,
        protocol,
        tcp_flags: flags,
        ttl: (middle >> 40) as u8,
        key: plain.key() | u16::from(flags),
    })
}

/// Reads the headers of any frame.
#[inline(always)]
fn parse_any<P: Packet + ?Sized>(packet: &P) -> Result<Headers, Reason> {
    let mut headers = Headers::default();
    let mut offset = 12;
    let mut tags = 0;
    loop {
        let kind = u16::from_be_bytes(load(packet, offset)?);
        offset += 2;
        match kind {
            tag if ethertype::is_tag(tag) => {
                if tags == MAX_TAGS {
                    return Err(Reason::TooManyTags);
                }
                tags += 1;
                offset += 2;
            }
            _ => {
                headers.ethertype = kind;
                break;
            }
        }
    }
    let offset = packet.opaque(u64::from(offset)) as u32;
    headers.network = offset;
    let upper = match headers.ethertype {
        ethertype::IPV4 => parse_ipv4(packet, offset, &mut headers)?,
        ethertype::IPV6 => parse_ipv6(packet, offset, &mut headers)?,
        _ => {
            headers.present |= headers.neighbour();
            headers.key = NO_PROTOCOL as u16;
            return Ok(headers);
        }
    };
    headers.src_high = packet.opaque(headers.src_high);
    headers.dst_high = packet.opaque(headers.dst_high);
    headers.src_low = packet.opaque(headers.src_low);
    headers.dst_low = packet.opaque(headers.dst_low);
    headers.ttl = packet.opaque(u64::from(headers.ttl)) as u8;
    headers.present = packet.opaque(u64::from(headers.present)) as u32;
    headers.protocol = packet.opaque(u64::from(headers.protocol)) as u8;
    headers.key = headers.protocol.into();
    parse_upper(packet, &upper.opaque(packet), &mut headers)?;
    headers.present |= headers.neighbour();
    Ok(headers)
}

/// Where the upper-layer header is.
struct Upper {
    /// The offset of its first byte.
    at: u32,
    /// The offset after the last byte of the packet, without the padding of the frame.
    end: u32,
    /// The fragment's offset in units of 8 bytes, 0 for first fragments and whole packets.
    fragment_offset: u32,
}

impl Upper {
    #[inline(always)]
    fn opaque<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self {
            at: packet.opaque(u64::from(self.at)) as u32,
            end: packet.opaque(u64::from(self.end)) as u32,
            fragment_offset: packet.opaque(u64::from(self.fragment_offset)) as u32,
        }
    }
}

#[inline(always)]
fn load<const N: usize, P: Packet + ?Sized>(packet: &P, offset: u32) -> Result<[u8; N], Reason> {
    packet.load(offset).ok_or(Reason::Truncated)
}

/// The bit [`present::IN_FIRST_BUFFER`] of an IP packet whose last byte is before `end`.
#[inline(always)]
fn in_first_buffer<P: Packet + ?Sized>(packet: &P, end: u32) -> u32 {
    // By the sign of the difference: a branch is one path more for the verifier.
    let is_in = end.wrapping_sub(packet.first_len()).wrapping_sub(1) >> 31;
    is_in * present::IN_FIRST_BUFFER
}

/// IPv4 (RFC 791).
#[inline(always)]
fn parse_ipv4<P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
    headers: &mut Headers,
) -> Result<Upper, Reason> {
    let start: [u8; 8] = load(packet, offset)?;
    let middle: [u8; 8] = load(packet, offset + 8)?;
    let dst = u32::from_be_bytes(load(packet, offset + 16)?);
    let header_len = u32::from(start[0] & 0x0f) * 4;
    let total_len = u32::from(u16::from_be_bytes([start[2], start[3]]));
    if start[0] >> 4 != 4 || header_len < 20 || total_len < header_len {
        return Err(Reason::Malformed);
    }
    let end = offset + total_len;
    if !packet.holds(end) {
        return Err(Reason::Truncated);
    }
    let in_first = in_first_buffer(packet, end);
    let src = u32::from_be_bytes([middle[4], middle[5], middle[6], middle[7]]);
    let fragment = u16::from_be_bytes([start[6], start[7]]);
    headers.present = if fragment & 0x3fff == 0 {
        in_first | present::IPV4
    } else {
        in_first | present::IPV4 | present::FRAGMENT
    };
    headers.ttl = middle[0];
    headers.src_high = u64::from(src) << 32;
    headers.dst_high = u64::from(dst) << 32;
    headers.protocol = middle[1];
    Ok(Upper {
        at: offset + header_len,
        end,
        fragment_offset: u32::from(fragment & 0x1fff),
    })
}

/// IPv6 and its extension headers (RFC 8200, RFC 4302 for the authentication header).
#[inline(always)]
fn parse_ipv6<P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
    headers: &mut Headers,
) -> Result<Upper, Reason> {
    let start: [u8; 8] = load(packet, offset)?;
    if start[0] >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    headers.present = present::IPV6;
    headers.src_high = u64::from_be_bytes(load(packet, offset + 8)?);
    headers.src_low = u64::from_be_bytes(load(packet, offset + 16)?);
    headers.dst_high = u64::from_be_bytes(load(packet, offset + 24)?);
    headers.dst_low = u64::from_be_bytes(load(packet, offset + 32)?);
    let payload_len = u32::from(u16::from_be_bytes([start[4], start[5]]));
    headers.ttl = start[7];
    let mut next = start[6];
    let mut at = offset + 40;
    let end = if payload_len == 0 && next == protocol::HOP_BY_HOP {
        // A sum that wraps ends before the first extension header does, and counts as truncated.
        at.wrapping_add(jumbo_payload_len(packet, at)?)
    } else {
        at + payload_len
    };
    if !packet.holds(end) {
        return Err(Reason::Truncated);
    }
    headers.present |= in_first_buffer(packet, end);
    let mut fragment_offset = 0;
    let mut extensions = 0;
    while matches!(
        next,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION
    ) {
        if extensions == MAX_EXTENSIONS {
            return Err(Reason::TooManyHeaders);
        }
        extensions += 1;
        let extension: [u8; 4] = load(packet, at)?;
        let words = u32::from(extension[1]);
        at += match next {
            protocol::FRAGMENT => 8,
            protocol::AUTHENTICATION => (words + 2) * 4,
            _ => (words + 1) * 8,
        };
        if at > end {
            return Err(Reason::Truncated);
        }
        let is_fragment = next == protocol::FRAGMENT;
        next = extension[0];
        if is_fragment {
            headers.present |= present::FRAGMENT;
            fragment_offset = u32::from(u16::from_be_bytes([extension[2], extension[3]]) >> 3);
            if fragment_offset != 0 {
                break;
            }
        }
        at = packet.opaque(u64::from(at)) as u32;
        next = packet.opaque(u64::from(next)) as u8;
        fragment_offset = packet.opaque(u64::from(fragment_offset)) as u32;
    }
    headers.protocol = next;
    Ok(Upper {
        at,
        end,
        fragment_offset,
    })
}

/// The payload length of a jumbogram, whose IP header says 0: the first of its hop-by-hop options
/// states it (RFC 2675). Without that option no length at all is stated.
#[inline(always)]
fn jumbo_payload_len<P: Packet + ?Sized>(packet: &P, at: u32) -> Result<u32, Reason> {
    /// The type of the option, and the length of its data.
    const JUMBO_PAYLOAD: u16 = 0xc204;
    let options: [u8; 8] = load(packet, at)?;
    let [_next, _units, kind, length, payload_len @ ..] = options;
    let payload_len = u32::from_be_bytes(payload_len);
    if u16::from_be_bytes([kind, length]) != JUMBO_PAYLOAD || payload_len >> 16 == 0 {
        return Err(Reason::Malformed);
    }
    Ok(payload_len)
}

/// The upper-layer header, which must lie inside the packet but for later fragments, which have
/// none.
#[inline(always)]
fn parse_upper<P: Packet + ?Sized>(
    packet: &P,
    upper: &Upper,
    headers: &mut Headers,
) -> Result<(), Reason> {
    let &Upper {
        at,
        end,
        fragment_offset,
    } = upper;
    if fragment_offset != 0 {
        // A fragment at offset 1 overwrites the TCP flags of the first one (RFC 3128).
        let overlaps = fragment_offset == 1 && headers.protocol == protocol::TCP;
        return if overlaps {
            Err(Reason::Malformed)
        } else {
            Ok(())
        };
    }
    let is_ipv6 = headers.has(present::IPV6);
    let needed = match headers.protocol {
        protocol::TCP => 20,
        protocol::UDP | protocol::UDPLITE => 8,
        protocol::SCTP | protocol::DCCP => 12,
        protocol::ICMP if !is_ipv6 => 4,
        protocol::ICMPV6 if is_ipv6 => 4,
        _ => return Ok(()),
    };
    if at + needed > end {
        return Err(Reason::Truncated);
    }
    let first: [u8; 4] = load(packet, at)?;
    if matches!(headers.protocol, protocol::ICMP | protocol::ICMPV6) {
        headers.icmp = u16::from_be_bytes([first[0], first[1]]);
        headers.present |= present::ICMP;
        return Ok(());
    }
    headers.sport = u16::from_be_bytes([first[0], first[1]]);
    headers.dport = u16::from_be_bytes([first[2], first[3]]);
    headers.present |= present::PORTS;
    if headers.protocol == protocol::TCP {
        let [data_offset, flags] = load(packet, at + 12)?;
        if data_offset >> 4 < 5 {
            return Err(Reason::Malformed);
        }
        headers.tcp_flags = flags;
        headers.key = WITH_FLAGS as u16 | u16::from(flags);
        headers.present |= present::TCP;
    }
    Ok(())
}
