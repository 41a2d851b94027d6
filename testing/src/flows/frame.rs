//! The frames of packets.

use std::net::IpAddr;

use rules::{
    evaluator::flows::{Content, Datagram},
    packet::Packet,
};

/// The frame that carries a packet.
#[must_use]
pub fn frame(datagram: &Datagram) -> Vec<u8> {
    let is_ipv6 = datagram.dst.is_ipv6();
    let packet = match (datagram.src, datagram.dst) {
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
    match &datagram.content {
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
            let inner = about.as_deref().map(frame);
            let inner = inner.as_deref().map_or(&[][..], |inner| &inner[14..]);
            icmp(packet, [3, 1]).payload(inner).build()
        }
        Content::Message => icmp(packet, [13, 143]).build(),
    }
}
