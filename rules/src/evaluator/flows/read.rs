//! The datagram of a frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::datagram::{Content, Datagram};
use crate::{
    evaluator::decode::{Layers, layers},
    field::Family,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Datagram {
    /// What a frame is to flows; `None` if it is not IP, or cannot be decoded.
    #[must_use]
    pub fn of_frame(frame: &[u8]) -> Option<Self> {
        let layers = layers(frame).ok()?;
        let (src, dst) = (layers.fields.src?, layers.fields.dst?);
        let content = content(&layers)?;
        Some(Self { src, dst, content })
    }
}

fn content(layers: &Layers<'_>) -> Option<Content> {
    let Layers {
        fields,
        upper,
        is_extended,
    } = layers;
    let (family, number) = (fields.family?, fields.protocol?);
    if let Some(message) = fields.icmp {
        // What messages hold is read only where they follow the IP header.
        let message_type = message.to_be_bytes()[0];
        let body = if *is_extended { &[] } else { *upper };
        return Some(of_icmp(family, message_type, body));
    }
    let ports = fields.sport.zip(fields.dport);
    Some(match (number, ports, fields.tcp_flags) {
        (TCP, Some((sport, dport)), Some(flags)) => Content::Tcp {
            sport,
            dport,
            flags,
            payload: !is_extended && has_payload(upper),
        },
        (UDP, Some((sport, dport)), _) => Content::Udp { sport, dport },
        // Later fragments, which have no ports.
        (TCP | UDP, _, _) => Content::Message,
        (number, _, _) if is_icmp(family, number) => Content::Message,
        (number, _, _) => Content::Protocol(number),
    })
}

const fn is_icmp(family: Family, number: u8) -> bool {
    matches!((family, number), (Family::Ipv4, 1) | (Family::Ipv6, 58))
}

/// RFC 9293, section 3.1: the length of the header is in the upper half of its 13th byte, in words of 4 bytes.
fn has_payload(segment: &[u8]) -> bool {
    let words = segment.get(12).map_or(0, |byte| byte >> 4);
    segment.len() > usize::from(words) * 4
}

/// An ICMP message (RFC 792) or one of ICMPv6 (RFC 4443) of a type.
fn of_icmp(family: Family, message_type: u8, message: &[u8]) -> Content {
    match (family, message_type) {
        (Family::Ipv4, 0 | 8) | (Family::Ipv6, 128 | 129) => Content::Echo {
            id: number_at(message, 4).unwrap_or(0),
            asks: matches!(message_type, 8 | 128),
        },
        (Family::Ipv4, 3 | 4 | 5 | 11 | 12) | (Family::Ipv6, 1..=4) => {
            let about = message.get(8..).and_then(|packet| about(family, packet));
            Content::Error(about.map(Box::new))
        }
        (Family::Ipv4 | Family::Ipv6, _) => Content::Message,
    }
}

/// The packet that an error is about, of which there may be no more than the first 8 bytes after its IP header.
fn about(family: Family, packet: &[u8]) -> Option<Datagram> {
    let (src, dst, number, upper): (IpAddr, IpAddr, u8, &[u8]) = match family {
        Family::Ipv4 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            if number_at(packet, 6)? & 0x1fff != 0 {
                return None;
            }
            let src: [u8; 4] = *packet.get(12..)?.first_chunk()?;
            let dst: [u8; 4] = *packet.get(16..)?.first_chunk()?;
            let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
            (
                src.into(),
                dst.into(),
                *packet.get(9)?,
                packet.get(header..)?,
            )
        }
        Family::Ipv6 => {
            let src: [u8; 16] = *packet.get(8..)?.first_chunk()?;
            let dst: [u8; 16] = *packet.get(24..)?.first_chunk()?;
            let (src, dst) = (Ipv6Addr::from(src), Ipv6Addr::from(dst));
            (src.into(), dst.into(), *packet.get(6)?, packet.get(40..)?)
        }
    };
    let (sport, dport) = (number_at(upper, 0)?, number_at(upper, 2)?);
    let content = match number {
        TCP => Content::Tcp {
            sport,
            dport,
            // They say nothing of the flow.
            flags: 0,
            payload: false,
        },
        UDP => Content::Udp { sport, dport },
        _ if is_icmp(family, number) => match (family, upper.first()?) {
            (Family::Ipv4, 8) | (Family::Ipv6, 128) => Content::Echo {
                id: number_at(upper, 4)?,
                asks: true,
            },
            (Family::Ipv4 | Family::Ipv6, _) => Content::Message,
        },
        _ => Content::Protocol(number),
    };
    Some(Datagram { src, dst, content })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_be_bytes(*bytes))
}
