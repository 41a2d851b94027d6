//! The protocols that IP carries.

use pnet_packet::{
    icmp::{IcmpCode, IcmpType, MutableIcmpPacket},
    icmpv6::{Icmpv6Code, Icmpv6Type, MutableIcmpv6Packet},
    ip::IpNextHeaderProtocol,
    tcp::MutableTcpPacket,
    udp::MutableUdpPacket,
    util,
};

use super::{layout::view, network::Network, protocol};

/// The bits of the TCP flags byte.
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Resets the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// Echo of congestion experienced.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}

const TCP: usize = 20;
const UDP: usize = 8;
const SCTP_CHUNK: usize = 16;
const DCCP: usize = 12;
const ICMP: usize = 8;

/// The upper layer of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upper {
    /// Nothing: IPv6 "no next header".
    None,
    Tcp {
        src: u16,
        dst: u16,
        flags: u8,
    },
    Udp {
        src: u16,
        dst: u16,
    },
    UdpLite {
        src: u16,
        dst: u16,
    },
    Sctp {
        src: u16,
        dst: u16,
    },
    Dccp {
        src: u16,
        dst: u16,
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    Icmpv6 {
        kind: u8,
        code: u8,
    },
    Other(u8),
}

impl Upper {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::None => protocol::NONE,
            Self::Tcp { .. } => protocol::TCP,
            Self::Udp { .. } => protocol::UDP,
            Self::UdpLite { .. } => protocol::UDP_LITE,
            Self::Sctp { .. } => protocol::SCTP,
            Self::Dccp { .. } => protocol::DCCP,
            Self::Icmp { .. } => protocol::ICMP,
            Self::Icmpv6 { .. } => protocol::ICMPV6,
            Self::Other(number) => number,
        }
    }

    /// The header, with its checksum, and the payload.
    pub(super) fn segment(self, network: &Network, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::None | Self::Other(_) => payload.to_vec(),
            Self::Tcp { src, dst, flags } => tcp(network, src, dst, flags, payload),
            Self::Udp { src, dst } => udp(network, src, dst, payload),
            Self::UdpLite { src, dst } => udp_lite(network, src, dst, payload),
            Self::Sctp { src, dst } => sctp(src, dst, payload),
            Self::Dccp { src, dst } => dccp(network, src, dst, payload),
            Self::Icmp { kind, code } => icmp(kind, code, payload),
            Self::Icmpv6 { kind, code } => icmpv6(network, kind, code, payload),
        }
    }
}

/// The sequence number of every segment, so that one with ACK acknowledges a SYN of the other end.
const SEQUENCE: u32 = 1;

fn tcp(network: &Network, src: u16, dst: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; TCP];
    bytes.extend_from_slice(payload);
    let mut tcp = view(&mut bytes, MutableTcpPacket::new);
    tcp.set_source(src);
    tcp.set_destination(dst);
    tcp.set_sequence(SEQUENCE);
    if flags & tcp_flags::ACK != 0 {
        tcp.set_acknowledgement(SEQUENCE + 1);
    }
    tcp.set_data_offset(5);
    tcp.set_flags(flags);
    tcp.set_window(64_240);
    set_checksum(network, protocol::TCP, 16, &mut bytes);
    bytes
}

fn udp(network: &Network, src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; UDP];
    bytes.extend_from_slice(payload);
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut udp = view(&mut bytes, MutableUdpPacket::new);
    udp.set_source(src);
    udp.set_destination(dst);
    udp.set_length(len);
    set_checksum(network, protocol::UDP, 6, &mut bytes);
    bytes
}

/// UDP-Lite: the length is the checksum coverage, where 0 is the whole packet.
fn udp_lite(network: &Network, src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(UDP + payload.len());
    bytes.extend(src.to_be_bytes());
    bytes.extend(dst.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    set_checksum(network, protocol::UDP_LITE, 6, &mut bytes);
    bytes
}

/// The common header and one DATA chunk, its payload padded to whole words.
fn sctp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let chunk = u16::try_from(SCTP_CHUNK + payload.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(12 + SCTP_CHUNK + payload.len() + 3);
    bytes.extend(src.to_be_bytes());
    bytes.extend(dst.to_be_bytes());
    // The verification tag, then the checksum.
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    // DATA, first and last fragment of its message.
    bytes.extend([0, 3]);
    bytes.extend(chunk.to_be_bytes());
    // Transmission sequence number 1, stream 0, stream sequence 0, payload protocol 0.
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    // The checksum is sent in little-endian order (RFC 9260 appendix A).
    let checksum = crc32c(&bytes).to_le_bytes();
    write(&mut bytes, 8, &checksum);
    bytes
}

/// A DCCP-Data packet with short sequence numbers.
fn dccp(network: &Network, src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    const DATA: u8 = 2;
    let mut bytes = Vec::with_capacity(DCCP + payload.len());
    bytes.extend(src.to_be_bytes());
    bytes.extend(dst.to_be_bytes());
    // The data offset in words, no checksum options, the checksum, the packet type, the sequence.
    bytes.extend([3, 0, 0, 0, DATA << 1, 0, 0, 1]);
    bytes.extend_from_slice(payload);
    set_checksum(network, protocol::DCCP, 6, &mut bytes);
    bytes
}

/// The second word of an ICMP message: of an echo the identifier 0 and the sequence number 1, of a
/// packet that is too big the least MTU of IPv6, of others nothing.
fn icmp_word(number: u8, kind: u8) -> [u8; 4] {
    match (number, kind) {
        (protocol::ICMP, 0 | 8) | (protocol::ICMPV6, 128 | 129) => [0, 0, 0, 1],
        (protocol::ICMPV6, 2) => 1280_u32.to_be_bytes(),
        (_, _) => [0; 4],
    }
}

fn icmp(kind: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ICMP];
    bytes.extend_from_slice(payload);
    write(&mut bytes, 4, &icmp_word(protocol::ICMP, kind));
    let checksum = {
        let mut icmp = view(&mut bytes, MutableIcmpPacket::new);
        icmp.set_icmp_type(IcmpType(kind));
        icmp.set_icmp_code(IcmpCode(code));
        util::checksum(&bytes, 1)
    };
    write(&mut bytes, 2, &checksum.to_be_bytes());
    bytes
}

fn icmpv6(network: &Network, kind: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ICMP];
    bytes.extend_from_slice(payload);
    write(&mut bytes, 4, &icmp_word(protocol::ICMPV6, kind));
    let mut icmp = view(&mut bytes, MutableIcmpv6Packet::new);
    icmp.set_icmpv6_type(Icmpv6Type(kind));
    icmp.set_icmpv6_code(Icmpv6Code(code));
    set_checksum(network, protocol::ICMPV6, 2, &mut bytes);
    bytes
}

/// Writes the Internet checksum over the pseudo-header and `bytes` at `offset`, which is even.
fn set_checksum(network: &Network, number: u8, offset: usize, bytes: &mut [u8]) {
    let protocol = IpNextHeaderProtocol(number);
    let word = offset / 2;
    let sum = match network {
        Network::Ipv4(ip) => util::ipv4_checksum(bytes, word, &[], &ip.src, &ip.dst, protocol),
        Network::Ipv6(ip) => util::ipv6_checksum(bytes, word, &[], &ip.src, &ip.dst, protocol),
        Network::Arp(_) | Network::Other(_) => 0,
    };
    // In UDP and UDP-Lite 0 means that there is no checksum, and 0xffff is the same number.
    let is_udp = matches!(number, protocol::UDP | protocol::UDP_LITE);
    let sum = if is_udp && sum == 0 { 0xffff } else { sum };
    write(bytes, offset, &sum.to_be_bytes());
}

/// Writes `value` at `offset`, if there is room.
pub(super) fn write(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..offset + value.len()) {
        place.copy_from_slice(value);
    }
}

/// The CRC of Castagnoli, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry == 1 {
                crc ^= POLYNOMIAL;
            }
        }
    }
    !crc
}
