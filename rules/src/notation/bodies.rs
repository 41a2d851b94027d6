//! Bodies of ICMP messages.

use std::net::{IpAddr, Ipv6Addr};

use crate::packet::Packet;

/// The number of bytes before the network header.
const ETHERNET: usize = 14;

/// A membership query for all groups, to be answered within 10 seconds, with its checksum (RFC 2236,
/// section 2).
pub(super) const MEMBERSHIP_QUERY: [u8; 8] = [0x11, 100, 0xee, 0x9b, 0, 0, 0, 0];

/// The body of the message `kind` from `src` to `dst`, without options.
pub(super) fn icmp(src: IpAddr, dst: IpAddr, kind: u8) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => icmpv6(src, dst, kind),
        (IpAddr::V4(_), _) | (_, IpAddr::V4(_)) => match kind {
            3 | 4 | 5 | 11 | 12 => returned(src, dst),
            // Three times of day (RFC 792), an address mask (RFC 950).
            13 | 14 => vec![0; 12],
            17 | 18 => vec![0; 4],
            _ => Vec::new(),
        },
    }
}

fn icmpv6(src: Ipv6Addr, dst: Ipv6Addr, kind: u8) -> Vec<u8> {
    let asked = if dst.is_multicast() { src } else { dst };
    match kind {
        1..=4 => returned(src.into(), dst.into()),
        // The group, which is all groups (RFC 2710).
        130..=132 => vec![0; 16],
        // Two times (RFC 4861, section 4.2).
        134 => vec![0; 8],
        135 => asked.octets().to_vec(),
        136 => src.octets().to_vec(),
        // The better hop and the destination.
        137 => [src.octets(), asked.octets()].concat(),
        _ => Vec::new(),
    }
}

/// The start of the packet that an error message quotes: one in the other direction.
fn returned(src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let packet = Packet::ip(dst, src).map(|packet| packet.udp(33_434, 33_434).build());
    packet
        .and_then(|mut frame| (frame.len() > ETHERNET).then(|| frame.split_off(ETHERNET)))
        .unwrap_or_default()
}
