//! The fields of a packet, read from its frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    packet::protocol,
    rulesets::{Family, ports::has_ports},
    tuple::Tuple,
};

/// The fields of the packet in a frame; `None` if there is no packet, the frame ends before its
/// fields, or it is a later fragment.
#[must_use]
pub fn tuple(frame: &[u8]) -> Option<Tuple> {
    let (family, bytes) = ip(frame)?;
    let (src, dst, number, upper) = match family {
        Family::V4 => ipv4(bytes)?,
        Family::V6 => ipv6(bytes)?,
    };
    let (sport, dport) = if has_ports(number) {
        (u16_at(upper, 0)?, u16_at(upper, 2)?)
    } else {
        (0, 0)
    };
    let tcp_flags = match number {
        protocol::TCP => *upper.get(13)?,
        _ => 0,
    };
    Some(Tuple {
        src,
        dst,
        protocol: number,
        sport,
        dport,
        tcp_flags,
    })
}

/// The packet in a frame after its VLAN tags, and its family.
pub(super) fn ip(frame: &[u8]) -> Option<(Family, &[u8])> {
    let mut at = 12;
    loop {
        let behind = at + 2;
        match u16_at(frame, at)? {
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            0x0800 => return Some((Family::V4, frame.get(behind..)?)),
            0x86dd => return Some((Family::V6, frame.get(behind..)?)),
            _ => return None,
        }
    }
}

/// Source, destination, protocol, and payload.
type Parts<'a> = (IpAddr, IpAddr, u8, &'a [u8]);

fn ipv4(bytes: &[u8]) -> Option<Parts<'_>> {
    let header = usize::from(bytes.first()? & 0x0f) * 4;
    let is_later = u16_at(bytes, 6)? & 0x1fff != 0;
    let src = Ipv4Addr::from(*bytes.get(12..)?.first_chunk::<4>()?);
    let dst = Ipv4Addr::from(*bytes.get(16..)?.first_chunk::<4>()?);
    let upper = bytes.get(header..usize::from(u16_at(bytes, 2)?))?;
    (!is_later && header >= 20).then_some((src.into(), dst.into(), *bytes.get(9)?, upper))
}

fn ipv6(bytes: &[u8]) -> Option<Parts<'_>> {
    let src = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
    let dst = Ipv6Addr::from(*bytes.get(24..)?.first_chunk::<16>()?);
    let mut number = *bytes.get(6)?;
    let end = 40 + usize::from(u16_at(bytes, 4)?);
    let mut upper = bytes.get(40..end)?;
    loop {
        let length = match number {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => {
                (usize::from(*upper.get(1)?) + 1) * 8
            }
            protocol::AUTHENTICATION => (usize::from(*upper.get(1)?) + 2) * 4,
            protocol::FRAGMENT if u16_at(upper, 2)? >> 3 == 0 => 8,
            protocol::FRAGMENT => return None,
            _ => return Some((src.into(), dst.into(), number, upper)),
        };
        number = *upper.first()?;
        upper = upper.get(length..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        packet::{Extension, Fragment, Packet},
        rulesets::{
            Index, Verdict,
            generate::{FilterKind, rule_set},
            stream::{Pattern, Stream},
        },
    };

    #[test]
    fn fields_are_read_as_they_were_written() {
        for family in [Family::V4, Family::V6] {
            let set = rule_set(FilterKind::Ipc, family, 100, Verdict::Drop, 1);
            for tuple in Stream::new(&Index::new(&set), Pattern::Boundary, 1).take(1000) {
                let packet = tuple.packet().unwrap();
                assert_eq!(super::tuple(&packet.build()), Some(tuple));
                let tagged = packet.service_vlan(1).vlan(2).options(&[1; 4]);
                let deep = tagged.extension(Extension::HopByHop(Vec::new()));
                assert_eq!(super::tuple(&deep.build()), Some(tuple));
            }
        }
    }

    #[test]
    fn later_fragments_have_no_fields() {
        let later = Fragment {
            id: 1,
            offset: 1,
            more: false,
        };
        let v4 = Packet::ipv4([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let v6 = Packet::ipv6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        for packet in [v4, v6] {
            let packet = packet.udp(1, 2).payload(&[0; 8]);
            assert!(tuple(&packet.build()).is_some());
            assert_eq!(tuple(&packet.fragment(later).build()), None);
        }
    }
}
