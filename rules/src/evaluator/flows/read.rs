//! The datagram of a frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::datagram::{Content, Datagram, FragmentHeader};
use crate::{
    evaluator::decode::{Fields, Layers, layers},
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
        let protocol = match layers.fields.family? {
            Family::Ipv4 => layers.fields.protocol?,
            Family::Ipv6 => 0,
        };
        let fragment = layers.fragment.map(|(id, is_later)| FragmentHeader {
            id,
            protocol,
            is_later,
        });
        Some(Self {
            src,
            dst,
            content,
            fragment,
        })
    }
}

/// The fields of the packet that an ICMP error is about, as far as errors quote it; `None` if it cannot be read, or is an ICMP
/// message, which answers nothing that errors tell.
pub(super) fn invoking_fields(frame: &[u8]) -> Option<Fields> {
    let layers = layers(frame).ok()?;
    let family = layers.fields.family?;
    let quoted = quoted(family, layers.upper.get(8..)?)?;
    if is_icmp(family, quoted.number) {
        return None;
    }
    let (sport, dport) = (number_at(quoted.upper, 0)?, number_at(quoted.upper, 2)?);
    // TCP, UDP, DCCP, SCTP, UDP-Lite.
    let has_ports = matches!(quoted.number, TCP | UDP | 33 | 132 | 136);
    Some(Fields {
        ethertype: layers.fields.ethertype,
        family: Some(family),
        src: Some(quoted.src),
        dst: Some(quoted.dst),
        protocol: Some(quoted.number),
        sport: has_ports.then_some(sport),
        dport: has_ports.then_some(dport),
        tcp_flags: (quoted.number == TCP).then_some(0),
        is_fragment: Some(false),
        ..Fields::default()
    })
}

fn content(layers: &Layers<'_>) -> Option<Content> {
    let Layers {
        fields,
        upper,
        is_extended,
        ..
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
            numbers: numbers(upper).filter(|_| !is_extended),
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

/// RFC 9293, section 3.1: the numbers follow the ports.
fn numbers(segment: &[u8]) -> Option<[u32; 2]> {
    let number = |at: usize| {
        let bytes = segment.get(at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    };
    Some([number(4)?, number(8)?])
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

/// A packet that an ICMP error quotes, of which there may be no more than the first 8 bytes after its IP header.
struct Quoted<'p> {
    src: IpAddr,
    dst: IpAddr,
    number: u8,
    upper: &'p [u8],
}

fn quoted(family: Family, packet: &[u8]) -> Option<Quoted<'_>> {
    match family {
        Family::Ipv4 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            if number_at(packet, 6)? & 0x1fff != 0 {
                return None;
            }
            let src: [u8; 4] = *packet.get(12..)?.first_chunk()?;
            let dst: [u8; 4] = *packet.get(16..)?.first_chunk()?;
            Some(Quoted {
                src: Ipv4Addr::from(src).into(),
                dst: Ipv4Addr::from(dst).into(),
                number: *packet.get(9)?,
                upper: packet.get(header..)?,
            })
        }
        Family::Ipv6 => {
            let src: [u8; 16] = *packet.get(8..)?.first_chunk()?;
            let dst: [u8; 16] = *packet.get(24..)?.first_chunk()?;
            Some(Quoted {
                src: Ipv6Addr::from(src).into(),
                dst: Ipv6Addr::from(dst).into(),
                number: *packet.get(6)?,
                upper: packet.get(40..)?,
            })
        }
    }
}

/// The packet that an error is about.
fn about(family: Family, packet: &[u8]) -> Option<Datagram> {
    let Quoted {
        src,
        dst,
        number,
        upper,
    } = quoted(family, packet)?;
    let (sport, dport) = (number_at(upper, 0)?, number_at(upper, 2)?);
    let content = match number {
        TCP => Content::Tcp {
            sport,
            dport,
            // They say nothing of the flow.
            flags: 0,
            numbers: None,
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
    Some(Datagram {
        src,
        dst,
        content,
        fragment: None,
    })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_be_bytes(*bytes))
}
