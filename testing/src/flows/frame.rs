//! The frames of packets.

use std::net::IpAddr;

use rules::{
    evaluator::flows::{Content, Datagram},
    packet::{self, Packet},
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
    let packet = match &datagram.content {
        &Content::Tcp {
            sport,
            dport,
            flags,
            payload,
            ..
        } => {
            let data: &[u8] = if payload { b"data" } else { b"" };
            packet.tcp(sport, dport, flags).payload(data)
        }
        &Content::Udp { sport, dport } => packet.udp(sport, dport).payload(b"data"),
        &Content::Echo { asks, .. } => {
            let kinds = if asks { [8, 128] } else { [0, 129] };
            icmp(packet, kinds).payload(b"data")
        }
        &Content::Protocol(number) => packet.protocol(number).payload(b"data"),
        Content::Error(about) => {
            let inner = about.as_deref().map(frame);
            let inner = inner.as_deref().map_or(&[][..], |inner| &inner[14..]);
            icmp(packet, [3, 1]).payload(inner)
        }
        Content::Message => match datagram.fragment {
            // Of UDP in IPv6, where the fragments of a packet do not name its protocol.
            Some(fragment) if fragment.protocol == 0 => packet.protocol(17).payload(b"data"),
            Some(fragment) => packet.protocol(fragment.protocol).payload(b"data"),
            None => icmp(packet, [13, 143]),
        },
    };
    let packet = match datagram.fragment {
        Some(fragment) => packet.fragment(packet::Fragment {
            id: fragment.id,
            offset: if fragment.is_later { 64 } else { 0 },
            more: !fragment.is_later,
        }),
        None => packet,
    };
    let mut frame = packet.build();
    if let Content::Tcp {
        numbers: Some([sequence, acknowledgment]),
        ..
    } = datagram.content
    {
        let at = 14 + if is_ipv6 { 40 } else { 20 } + 4;
        frame[at..at + 4].copy_from_slice(&sequence.to_be_bytes());
        frame[at + 4..at + 8].copy_from_slice(&acknowledgment.to_be_bytes());
    }
    if let Content::Echo { id, .. } = datagram.content {
        let extension = if datagram.fragment.is_some() { 8 } else { 0 };
        let at = 14 + if is_ipv6 { 40 + extension } else { 20 } + 4;
        frame[at..at + 2].copy_from_slice(&id.to_be_bytes());
    }
    frame
}
