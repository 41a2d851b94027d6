//! Checks frames with etherparse, which shares no code with this project.

use etherparse::{NetSlice, SlicedPacket, TransportSlice, UdpHeader};

/// Fails unless the frame can be parsed completely and its lengths and checksums are correct.
pub(crate) fn accept(frame: &[u8], line: &str) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| {
        panic!("{line}: {error}");
    });
    match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            assert_eq!(
                header.header_checksum,
                header.calc_header_checksum(),
                "{line}"
            );
            let whole = usize::from(header.total_len) + packet.link_exts.len() * 4 + 14;
            assert_eq!(frame.len(), whole, "{line}");
        }
        Some(NetSlice::Ipv6(ip)) => {
            let payload = usize::from(ip.header().payload_length());
            let whole = payload + packet.link_exts.len() * 4 + 54;
            assert_eq!(frame.len(), whole, "{line}");
        }
        Some(NetSlice::Arp(_)) | None => {}
    }
    if packet.is_ip_payload_fragmented() {
        assert!(packet.transport.is_none(), "{line}");
        return;
    }
    checksums(&packet, line);
}

fn checksums(packet: &SlicedPacket<'_>, line: &str) {
    let v4 = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => Some((ip.header().source(), ip.header().destination())),
        Some(NetSlice::Ipv6(_) | NetSlice::Arp(_)) | None => None,
    };
    let v6 = match &packet.net {
        Some(NetSlice::Ipv6(ip)) => Some((ip.header().source(), ip.header().destination())),
        Some(NetSlice::Ipv4(_) | NetSlice::Arp(_)) | None => None,
    };
    let (found, expected) = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let sum = match (v4, v6) {
                (Some((src, dst)), _) => tcp.calc_checksum_ipv4(src, dst),
                (_, Some((src, dst))) => tcp.calc_checksum_ipv6(src, dst),
                (None, None) => panic!("{line}: TCP over nothing"),
            };
            (tcp.checksum(), sum.unwrap())
        }
        Some(TransportSlice::Udp(udp)) => {
            let header: UdpHeader = udp.to_header();
            assert_eq!(
                usize::from(header.length),
                8 + udp.payload().len(),
                "{line}"
            );
            let sum = match (v4, v6) {
                (Some((src, dst)), _) => header.calc_checksum_ipv4_raw(src, dst, udp.payload()),
                (_, Some((src, dst))) => header.calc_checksum_ipv6_raw(src, dst, udp.payload()),
                (None, None) => panic!("{line}: UDP over nothing"),
            };
            (udp.checksum(), sum.unwrap())
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let sum = icmp.icmp_type().calc_checksum(icmp.payload());
            (icmp.checksum(), sum)
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let (src, dst) = v6.unwrap();
            assert!(icmp.is_checksum_valid(src, dst), "{line}");
            return;
        }
        Some(TransportSlice::Igmp(_)) | None => return,
    };
    assert_eq!(found, expected, "{line}");
}
