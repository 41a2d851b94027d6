//! Frames for packets that are only known by their fields.

use std::net::IpAddr;

use rules::analysis::{Fragment, Ip, Witness};

/// A frame that holds the packet.
pub(crate) fn frame(witness: &Witness) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(&witness.dst_mac.0.to_be_bytes()[2..]);
    frame.extend(&witness.src_mac.0.to_be_bytes()[2..]);
    if let Some(vlan) = witness.vlan {
        frame.extend([0x81, 0]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(witness.ethertype.to_be_bytes());
    if let Some(ip) = &witness.ip {
        frame.extend(packet(ip));
    }
    frame
}

#[expect(clippy::panic, reason = "how a test fails")]
fn packet(ip: &Ip) -> Vec<u8> {
    let mut packet = match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let fragment: u16 = match ip.fragment {
                Fragment::Whole => 0,
                Fragment::First => 0x2000,
                Fragment::Later => 2,
            };
            let mut header = vec![0x45, ip.dscp << 2];
            header.extend(ip.length.to_be_bytes());
            header.extend([0, 0]);
            header.extend(fragment.to_be_bytes());
            header.extend([ip.ttl, ip.protocol, 0, 0]);
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = vec![0x60 | ip.dscp >> 2, ip.dscp << 6, 0, 0];
            header.extend((ip.length - 40).to_be_bytes());
            let next = match ip.fragment {
                Fragment::Whole => ip.protocol,
                Fragment::First | Fragment::Later => 44,
            };
            header.extend([next, ip.ttl]);
            header.extend(src.octets());
            header.extend(dst.octets());
            match ip.fragment {
                Fragment::Whole => {}
                Fragment::First => header.extend([ip.protocol, 0, 0, 1, 0, 0, 0, 0]),
                Fragment::Later => header.extend([ip.protocol, 0, 0, 16, 0, 0, 0, 0]),
            }
            header
        }
        (src, dst) => panic!("{src} and {dst} are of two families"),
    };
    if let Some((sport, dport)) = ip.ports {
        packet.extend(sport.to_be_bytes());
        packet.extend(dport.to_be_bytes());
        if let Some(flags) = ip.tcp_flags {
            packet.extend([0; 8]);
            packet.extend([5 << 4, flags]);
        }
    }
    if let Some((kind, code)) = ip.icmp {
        packet.extend([kind, code]);
    }
    assert!(packet.len() <= usize::from(ip.length), "{ip:?}");
    packet.resize(ip.length.into(), 0);
    packet
}
