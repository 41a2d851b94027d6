//! Builds a frame for a packet of which only the fields are known.

use std::net::IpAddr;

use super::witness::{Witness, WitnessFragment, WitnessIp};
use crate::field::ip_option_bytes;

/// The shortest frame with the packet.
pub(super) fn frame(witness: &Witness) -> Vec<u8> {
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

/// The IP packet; bytes that the fields do not determine are zero.
fn packet(ip: &WitnessIp) -> Vec<u8> {
    let mut packet = match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let fragment: u16 = match ip.fragment {
                WitnessFragment::Whole => 0,
                WitnessFragment::First => 0x2000,
                WitnessFragment::Later => 2,
            };
            let options = ip_option_bytes(&ip.options);
            // There are at most 40 bytes of options.
            let words = (options.len() / 4) as u8;
            let mut header = vec![0x45 + words, ip.dscp << 2];
            header.extend(ip.length.to_be_bytes());
            header.extend([0, 0]);
            header.extend(fragment.to_be_bytes());
            header.extend([ip.ttl, ip.protocol, 0, 0]);
            header.extend(src.octets());
            header.extend(dst.octets());
            header.extend(options);
            header
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = vec![0x60 | ip.dscp >> 2, ip.dscp << 6, 0, 0];
            header.extend(ip.length.saturating_sub(40).to_be_bytes());
            let next = match ip.fragment {
                WitnessFragment::Whole => ip.protocol,
                WitnessFragment::First | WitnessFragment::Later => 44,
            };
            header.extend([next, ip.ttl]);
            header.extend(src.octets());
            header.extend(dst.octets());
            match ip.fragment {
                WitnessFragment::Whole => {}
                WitnessFragment::First => header.extend([ip.protocol, 0, 0, 1, 0, 0, 0, 0]),
                WitnessFragment::Later => header.extend([ip.protocol, 0, 0, 16, 0, 0, 0, 0]),
            }
            header
        }
        // Both addresses are of one family.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
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
    if ip.is_group_query {
        packet.push(0x11);
    }
    packet.resize(ip.length.into(), 0);
    packet
}
