//! Builds the frame: fills in the properties that the notation leaves open, and the payload.

use std::net::IpAddr;

use pnet_base::MacAddr;

use super::{
    bodies,
    options::{Options, Size},
    subject::{Ip, Subject},
    words::Fault,
};
use crate::{
    field::{Family, icmp_type_number},
    packet::{Damage, Fragment, Packet, protocol, tcp_flags},
    text::quoted,
};

/// The payload of the smallest Ethernet frame.
const LEAST_PAYLOAD: usize = 46;

/// The number of zero bytes that stand for the header of a protocol that the notation cannot build.
const UNKNOWN_HEADER: usize = 8;

/// The bytes of a frame before the network header, without tags.
const ETHERNET: usize = 14;

/// The bytes of the headers of PPPoE and of PPP, and of the latter alone.
const SESSION: usize = 8;
const PPP: usize = 2;

/// The maximum number of bytes of an IPv4 packet, of the payload of an IPv6 packet, and of that of a
/// PPPoE session.
const MAX_LENGTH: usize = 65_535;

/// Builds the frame; `about` is the packet that an ICMP error is about, if one is named.
pub(super) fn frame(
    subject: &Subject<'_>,
    options: &Options<'_>,
    about: Option<Vec<u8>>,
) -> Result<Vec<u8>, Fault> {
    let (packet, body) = match subject {
        Subject::Bytes(bytes) => {
            let kept = options.truncate.unwrap_or(bytes.len()).min(bytes.len());
            return Ok(bytes.get(..kept).unwrap_or_default().to_vec());
        }
        Subject::Arp { src, dst } => (Packet::arp(*src, *dst), Vec::new()),
        Subject::EtherType(number) => (Packet::ethertype(*number), vec![0; LEAST_PAYLOAD]),
        Subject::Ip(ip) => internet(ip, options, about)?,
    };
    let mut packet = packet;
    for tag in &options.tags {
        packet = packet.tag(*tag);
    }
    if let Some(session) = options.session {
        packet = packet.session(session);
    }
    if let Some(mac) = options.src_mac {
        packet = packet.src_mac(mac);
    }
    if let Some(mac) = options.dst_mac.or_else(|| group_mac(subject)) {
        packet = packet.dst_mac(mac);
    }
    let payload = payload(&packet, body, subject, options)?;
    packet = packet.payload(&payload);
    if let Some(bytes) = options.truncate {
        packet = packet.damage(Damage::Keep(bytes));
    }
    Ok(packet.build())
}

/// The packet without its payload, and its default payload.
fn internet(
    ip: &Ip<'_>,
    options: &Options<'_>,
    about: Option<Vec<u8>>,
) -> Result<(Packet, Vec<u8>), Fault> {
    let packet = match (ip.src.address, ip.dst.address) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Packet::ipv4(src, dst),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Packet::ipv6(src, dst),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(ip.dst.word.fault("the addresses are of different families"));
        }
    };
    let is_later = options
        .fragment
        .is_some_and(|fragment| fragment.offset != 0);
    let message = options.icmp.or_else(|| echo_request(ip));
    let mut packet = with_upper(packet, ip, message, is_later, options)?;
    for extension in &options.extensions {
        packet = packet.extension(extension.clone());
    }
    if let (Family::Ipv4, Some(fragment)) = (ip.family(), options.fragment) {
        packet = packet.fragment(fragment);
    }
    let ttl = if options.is_group_query {
        // RFC 3376, section 4.
        1
    } else {
        default_ttl(ip, message)
    };
    packet = options.numbered(packet, ttl);
    let mut body = match (ip.protocol, message) {
        (_, _) if is_later => vec![0; UNKNOWN_HEADER],
        (_, Some((kind, _))) => {
            about.unwrap_or_else(|| bodies::icmp(ip.src.address, ip.dst.address, kind))
        }
        (_, None) if options.is_group_query => bodies::MEMBERSHIP_QUERY.to_vec(),
        // A DATA chunk has data (RFC 9260, section 3.3.1).
        (protocol::SCTP, None) => vec![0; 4],
        (number, None) if has_ports(number) || number == protocol::NONE => Vec::new(),
        (_, None) => vec![0; UNKNOWN_HEADER],
    };
    if let Some(fragment) = options.fragment {
        fill(&packet, fragment, &mut body);
    }
    Ok((packet, body))
}

/// Pads the fragment: all fragments except the last have a multiple of 8 bytes of their packet.
fn fill(packet: &Packet, fragment: Fragment, body: &mut Vec<u8>) {
    if fragment.more {
        let frame = packet.clone().payload(body).build();
        // All headers of IPv6 are multiples of 8 bytes.
        let ip = match frame.get(ETHERNET) {
            Some(byte) if byte >> 4 == 4 => usize::from(byte & 0x0f) * 4,
            Some(_) | None => 40,
        };
        let header = ETHERNET + ip;
        let part = frame.len().saturating_sub(header);
        body.resize(body.len() + part.next_multiple_of(8) - part, 0);
    }
}

fn with_upper(
    packet: Packet,
    ip: &Ip<'_>,
    message: Option<(u8, u8)>,
    is_later: bool,
    options: &Options<'_>,
) -> Result<Packet, Fault> {
    let name = quoted(ip.name.text);
    let with_port = [&ip.src, &ip.dst]
        .into_iter()
        .find(|end| end.port.is_some());
    if let Some(end) = with_port {
        if is_later {
            return Err(end
                .word
                .fault("a later fragment has no ports")
                .help("leave them out: the header that has them is in the first fragment"));
        }
        if !has_ports(ip.protocol) {
            let message = format!("a packet of {name} has no ports");
            return Err(end.word.fault(message));
        }
    }
    if is_later || !has_ports(ip.protocol) {
        return Ok(match (ip.protocol, message) {
            (protocol::ICMP, Some((kind, code))) if !is_later => packet.icmp(kind, code),
            (protocol::ICMPV6, Some((kind, code))) if !is_later => packet.icmpv6(kind, code),
            (number, _) => packet.protocol(number),
        });
    }
    let port = |end: &super::subject::Endpoint<'_>| {
        end.port.ok_or_else(|| {
            let example = match ip.family() {
                Family::Ipv4 => format!("{}:80", end.address),
                Family::Ipv6 => format!("[{}]:80", end.address),
            };
            end.word
                .fault(format!("a packet of {name} has ports"))
                .help(format!("write `{example}`"))
        })
    };
    let (src, dst) = (port(&ip.src)?, port(&ip.dst)?);
    Ok(match ip.protocol {
        protocol::TCP => packet.tcp(src, dst, options.tcp_flags.unwrap_or(tcp_flags::ACK)),
        protocol::UDP => packet.udp(src, dst),
        protocol::UDP_LITE => packet.udp_lite(src, dst),
        protocol::SCTP => packet.sctp(src, dst),
        _ => packet.dccp(src, dst),
    })
}

fn has_ports(number: u8) -> bool {
    matches!(
        number,
        protocol::TCP | protocol::UDP | protocol::UDP_LITE | protocol::SCTP | protocol::DCCP
    )
}

/// The default message of an ICMP packet.
fn echo_request(ip: &Ip<'_>) -> Option<(u8, u8)> {
    let is_icmp = matches!(ip.protocol, protocol::ICMP | protocol::ICMPV6);
    let number = icmp_type_number(ip.family(), "echo-request")?;
    is_icmp.then_some((number, 0))
}

/// 64; for neighbor discovery 255 (RFC 4861, section 4), for multicast listeners 1 (RFC 3810,
/// section 5).
fn default_ttl(ip: &Ip<'_>, message: Option<(u8, u8)>) -> u8 {
    match (ip.family(), message) {
        (Family::Ipv6, Some((133..=137, _))) => 255,
        (Family::Ipv6, Some((130..=132 | 143, _))) => 1,
        (Family::Ipv4 | Family::Ipv6, _) => 64,
    }
}

/// The destination MAC address of a broadcast or multicast packet (RFC 1112, section 6.4; RFC 2464,
/// section 7).
fn group_mac(subject: &Subject<'_>) -> Option<MacAddr> {
    match subject {
        Subject::Arp { .. } => Some(MacAddr::broadcast()),
        Subject::EtherType(_) | Subject::Bytes(_) => None,
        Subject::Ip(ip) => match ip.dst.address {
            IpAddr::V4(address) if address.is_broadcast() => Some(MacAddr::broadcast()),
            IpAddr::V4(address) if address.is_multicast() => {
                let [_, b, c, d] = address.octets();
                Some(MacAddr(0x01, 0x00, 0x5e, b & 0x7f, c, d))
            }
            IpAddr::V6(address) if address.is_multicast() => {
                let [.., a, b, c, d] = address.octets();
                Some(MacAddr(0x33, 0x33, a, b, c, d))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        },
    }
}

/// The payload of the requested size, beginning with `body`.
fn payload(
    packet: &Packet,
    mut body: Vec<u8>,
    subject: &Subject<'_>,
    options: &Options<'_>,
) -> Result<Vec<u8>, Fault> {
    let session = if options.session.is_some() {
        SESSION
    } else {
        0
    };
    let link = ETHERNET + 4 * options.tags.len() + session;
    let length = |payload: &[u8]| {
        let frame = packet.clone().payload(payload).build();
        frame.len().saturating_sub(link)
    };
    let most = match subject {
        Subject::Ip(_) if options.session.is_some() => MAX_LENGTH - PPP,
        Subject::Ip(ip) if ip.family() == Family::Ipv6 => 40 + MAX_LENGTH,
        Subject::Ip(_) | Subject::Arp { .. } | Subject::EtherType(_) | Subject::Bytes(_) => {
            MAX_LENGTH
        }
    };
    let Some(size) = options.size else {
        return Ok(body);
    };
    let (word, wanted) = match size {
        Size::Payload(bytes, word) => {
            body.resize(bytes, 0);
            (word, None)
        }
        Size::Length(bytes, word) => {
            let headers = length(&[]);
            let rest = bytes.checked_sub(headers).ok_or_else(|| {
                word.fault(format!("the headers alone have {headers} bytes"))
                    .help("`length` counts them; `truncate` cuts a frame off")
            })?;
            body.resize(rest, 0);
            (word, Some(bytes))
        }
    };
    let found = length(&body);
    if found > most {
        return Err(word.fault(format!("a packet has at most {most} bytes")));
    }
    if wanted.is_some_and(|wanted| wanted != found) {
        let message = format!("such a packet has {found} bytes or fewer, in steps of 4");
        return Err(word.fault(message));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use crate::notation::read;

    /// The IP packet, without the Ethernet header.
    fn packet(text: &str) -> Vec<u8> {
        read(text).unwrap().frame.split_off(super::ETHERNET)
    }

    #[test]
    fn all_fragments_but_the_last_are_a_multiple_of_8_bytes() {
        for text in [
            "tcp 192.0.2.1:1 > 192.0.2.2:2 fragment 0+",
            "udp 192.0.2.1:1 > 192.0.2.2:2 fragment 0+",
            "icmp 192.0.2.1 > 192.0.2.2 time-exceeded fragment 0+",
            "tcp 192.0.2.1 > 192.0.2.2 fragment 1480+",
        ] {
            assert!((packet(text).len() - 20).is_multiple_of(8), "{text}");
        }
        for text in [
            "tcp [2001:db8::1]:1 > [2001:db8::2]:2 ah fragment 0+",
            "icmpv6 2001:db8::1 > 2001:db8::2 fragment 0+ destination",
        ] {
            assert!(packet(text).len().is_multiple_of(8), "{text}");
        }
    }

    #[test]
    fn lengths_are_those_asked_for() {
        assert_eq!(packet("udp 1.2.3.4:1 > 5.6.7.8:2 length 1500").len(), 1500);
        assert_eq!(packet("udp 1.2.3.4:1 > 5.6.7.8:2 payload 10").len(), 38);
        let longest = "gre 2001:db8::1 > 2001:db8::2 length 65575";
        assert_eq!(packet(longest).len(), 65_575);
        let fault = read("gre 1.2.3.4 > 5.6.7.8 length 65536").unwrap_err();
        assert_eq!(fault.message, "a packet has at most 65535 bytes");
    }
}
