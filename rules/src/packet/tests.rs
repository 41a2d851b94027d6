//! The frames are read back twice: by pnet, and by hand without any code of the builder.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::{
    Packet as _, arp::ArpPacket, ethernet::EthernetPacket, icmp, icmpv6, ip::IpNextHeaderProtocols,
    ipv4, ipv4::Ipv4Packet, ipv6::Ipv6Packet, tcp, tcp::TcpPacket, udp, udp::UdpPacket,
    vlan::VlanPacket,
};

use super::*;

const SRC4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const DST4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SRC6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x7);
const DST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x1);

fn v4() -> Packet {
    Packet::ipv4(SRC4, DST4)
}

fn v6() -> Packet {
    Packet::ipv6(SRC6, DST6)
}

fn be16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

/// The one's complement sum of RFC 1071; 0xffff over bytes whose checksum is correct.
fn internet_sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum over the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) and `segment`.
fn upper_sum(is_v6: bool, protocol: u8, segment: &[u8]) -> u16 {
    let len = (segment.len() as u32).to_be_bytes();
    let tail = [0, protocol];
    if is_v6 {
        internet_sum(&[&SRC6.octets(), &DST6.octets(), &len, &tail, segment])
    } else {
        internet_sum(&[&SRC4.octets(), &DST4.octets(), &len, &tail, segment])
    }
}

#[test]
fn a_tcp_packet_is_these_very_bytes() {
    let frame = Packet::ipv4([192, 0, 2, 2].into(), [192, 0, 2, 1].into())
        .macs(MacAddr(2, 0, 0, 0, 0, 2), MacAddr(2, 0, 0, 0, 0, 1))
        .tcp(0x1234, 22, tcp_flags::SYN | tcp_flags::ECE)
        .payload(b"hi!")
        .build();
    #[rustfmt::skip]
    let expected = [
        2, 0, 0, 0, 0, 1,  2, 0, 0, 0, 0, 2,  0x08, 0x00,
        0x45, 0, 0, 43,  0, 0, 0, 0,  64, 6, 0, 0,
        192, 0, 2, 2,  192, 0, 2, 1,
        0x12, 0x34, 0, 22,  0, 0, 0, 1,  0, 0, 0, 0,
        0x50, 0x42, 0xfa, 0xf0,  0, 0, 0, 0,
        b'h', b'i', b'!',
    ];
    // The tests below check the checksums.
    let without_checksums = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        frame[24..26].fill(0);
        frame[50..52].fill(0);
        frame
    };
    assert_eq!(without_checksums(&frame), without_checksums(&expected));
}

#[test]
fn ipv4_lengths_and_checksums_are_right_with_and_without_options() {
    for options in [&[][..], &[1, 1, 1, 1], &[7, 7, 4, 0, 0, 0, 0], &[1; 40]] {
        let frame = v4().options(options).udp(53, 5353).payload(b"odd").build();
        let header = options.len().next_multiple_of(4) + 20;
        assert_eq!(usize::from(frame[14] & 0x0f) * 4, header);
        assert_eq!(frame[14] >> 4, 4);
        assert_eq!(usize::from(be16(&frame, 16)), frame.len() - 14);
        assert_eq!(internet_sum(&[&frame[14..14 + header]]), 0xffff);
        assert_eq!(&frame[34..34 + options.len()], options);

        let ip = Ipv4Packet::new(&frame[14..]).unwrap();
        assert_eq!(ip.get_checksum(), ipv4::checksum(&ip));
        assert_eq!((ip.get_source(), ip.get_destination()), (SRC4, DST4));
        assert_eq!(ip.get_next_level_protocol(), IpNextHeaderProtocols::Udp);
        assert_eq!(ip.payload().len(), 11);
    }
}

#[test]
fn more_than_40_octets_of_options_are_cut() {
    assert_eq!(v4().options(&[1; 44]).build().len(), 14 + 60);
}

#[test]
fn upper_layer_checksums_are_right_over_ipv4_and_ipv6() {
    type Build = fn(Packet) -> Packet;
    let with_upper: [(u8, Build); 4] = [
        (protocol::TCP, |packet| packet.tcp(1, 65535, tcp_flags::ACK)),
        (protocol::UDP, |packet| packet.udp(40000, 443)),
        (protocol::UDP_LITE, |packet| packet.udp_lite(40000, 443)),
        (protocol::DCCP, |packet| packet.dccp(40000, 443)),
    ];
    for (number, build) in with_upper {
        for payload in [&b""[..], b"a", b"even", b"longer and odd"] {
            let frame = build(v4()).payload(payload).build();
            assert_eq!(frame[23], number);
            assert_eq!(upper_sum(false, number, &frame[34..]), 0xffff, "{number}");
            let frame = build(v6()).payload(payload).build();
            assert_eq!(frame[20], number);
            assert_eq!(upper_sum(true, number, &frame[54..]), 0xffff, "{number}");
        }
    }
    let frame = v4().icmp(8, 0).payload(b"ping?").build();
    assert_eq!(internet_sum(&[&frame[34..]]), 0xffff);
    let frame = v6().icmpv6(128, 0).payload(b"ping?").build();
    assert_eq!(upper_sum(true, protocol::ICMPV6, &frame[54..]), 0xffff);
}

#[test]
fn pnet_reads_tcp_udp_and_icmp_back() {
    let frame = v4()
        .tcp(1000, 2000, tcp_flags::RST | tcp_flags::CWR)
        .payload(b"data")
        .build();
    let segment = TcpPacket::new(&frame[34..]).unwrap();
    assert_eq!(
        (segment.get_source(), segment.get_destination()),
        (1000, 2000)
    );
    assert_eq!(segment.get_flags(), 0x84);
    assert_eq!(segment.get_data_offset(), 5);
    assert_eq!(
        segment.get_checksum(),
        tcp::ipv4_checksum(&segment, &SRC4, &DST4)
    );
    assert_eq!(segment.payload(), b"data");

    let frame = v6().udp(1000, 2000).payload(b"data").build();
    let datagram = UdpPacket::new(&frame[54..]).unwrap();
    assert_eq!(
        (datagram.get_source(), datagram.get_destination()),
        (1000, 2000)
    );
    assert_eq!(datagram.get_length(), 12);
    assert_eq!(
        datagram.get_checksum(),
        udp::ipv6_checksum(&datagram, &SRC6, &DST6)
    );

    let frame = v4().icmp(8, 3).build();
    let message = icmp::IcmpPacket::new(&frame[34..]).unwrap();
    assert_eq!(
        (message.get_icmp_type().0, message.get_icmp_code().0),
        (8, 3)
    );
    assert_eq!(message.get_checksum(), icmp::checksum(&message));

    let frame = v6().icmpv6(135, 0).build();
    let message = icmpv6::Icmpv6Packet::new(&frame[54..]).unwrap();
    assert_eq!(
        (message.get_icmpv6_type().0, message.get_icmpv6_code().0),
        (135, 0)
    );
    assert_eq!(
        message.get_checksum(),
        icmpv6::checksum(&message, &SRC6, &DST6)
    );
}

#[test]
fn the_checksum_of_sctp_is_crc32c_over_the_packet() {
    let frame = v4().sctp(5000, 3868).payload(b"four").build();
    let packet = &frame[34..];
    assert_eq!((be16(packet, 0), be16(packet, 2)), (5000, 3868));
    assert_eq!(usize::from(be16(packet, 14)), 16 + 4);
    let mut zeroed = packet.to_vec();
    zeroed[8..12].fill(0);
    assert_eq!(packet[8..12], crc32c_by_division(&zeroed).to_le_bytes());
    // RFC 3720 appendix B.4: 32 octets of zeros.
    assert_eq!(crc32c_by_division(&[0; 32]), 0x8a91_36aa);
}

/// CRC-32C as polynomial division over the message bit by bit, most significant bit first in the
/// reflected sense, unlike the shift register of the builder.
fn crc32c_by_division(bytes: &[u8]) -> u32 {
    let mut remainder: u64 = 0xffff_ffff;
    for byte in bytes {
        remainder ^= u64::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            remainder <<= 1;
            if remainder >> 32 == 1 {
                remainder ^= 0x1_1edc_6f41;
            }
        }
    }
    !(remainder as u32).reverse_bits()
}

#[test]
fn tags_stand_in_the_order_in_which_they_were_added() {
    let frame = v4().service_vlan(100).vlan(4095).udp(1, 2).build();
    assert_eq!(be16(&frame, 12), 0x88a8);
    assert_eq!(be16(&frame, 14), 100);
    assert_eq!(be16(&frame, 16), 0x8100);
    assert_eq!(be16(&frame, 18), 4095);
    assert_eq!(be16(&frame, 20), 0x0800);
    assert_eq!(frame[22], 0x45);

    let tag = Tag {
        kind: 0x9100,
        id: 5,
        priority: 7,
    };
    let frame = v6().tag(tag).build();
    let ethernet = EthernetPacket::new(&frame).unwrap();
    assert_eq!(ethernet.get_ethertype().0, 0x9100);
    let vlan = VlanPacket::new(ethernet.payload()).unwrap();
    assert_eq!(
        (vlan.get_vlan_identifier(), vlan.get_priority_code_point().0),
        (5, 7)
    );
    assert_eq!(vlan.get_ethertype().0, 0x86dd);
}

#[test]
fn arp_asks_for_the_destination() {
    let frame = Packet::arp(SRC4, DST4).build();
    assert_eq!(be16(&frame, 12), 0x0806);
    assert_eq!(frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
    assert_eq!(frame.len(), 42);
    let arp = ArpPacket::new(&frame[14..]).unwrap();
    assert_eq!(
        (arp.get_sender_proto_addr(), arp.get_target_proto_addr()),
        (SRC4, DST4)
    );
}

#[test]
fn another_ethertype_carries_the_payload_alone() {
    let frame = Packet::ethertype(0x88cc).payload(b"lldp").build();
    assert_eq!(be16(&frame, 12), 0x88cc);
    assert_eq!(&frame[14..], b"lldp");
}

/// The headers after the IPv6 header by RFC 8200 alone: numbers and lengths, then the upper-layer
/// protocol and what is left.
fn walk(packet: &[u8]) -> (Vec<(u8, usize)>, u8, &[u8]) {
    assert_eq!(packet[0] >> 4, 6);
    assert_eq!(usize::from(be16(packet, 4)), packet.len() - 40);
    let (mut next, mut rest) = (packet[6], &packet[40..]);
    let mut headers = Vec::new();
    loop {
        let len = match next {
            0 | 43 | 60 => (usize::from(rest[1]) + 1) * 8,
            44 => 8,
            51 => (usize::from(rest[1]) + 2) * 4,
            _ => return (headers, next, rest),
        };
        headers.push((next, len));
        (next, rest) = (rest[0], &rest[len..]);
    }
}

#[test]
fn extension_headers_form_a_chain_that_can_be_walked() {
    let frame = v6()
        .extension(Extension::HopByHop(vec![5, 2, 0, 0]))
        .extension(Extension::Routing {
            kind: 4,
            segments_left: 0,
            data: vec![0; 20],
        })
        .extension(Extension::Authentication(vec![0xaa; 12]))
        .extension(Extension::Destination(vec![1, 12]))
        .fragment(Fragment {
            id: 0x0102_0304,
            offset: 0,
            more: true,
        })
        .tcp(7, 8, tcp_flags::SYN)
        .payload(b"x")
        .build();
    let (headers, next, rest) = walk(&frame[14..]);
    assert_eq!(headers, [(0, 8), (43, 24), (51, 24), (60, 8), (44, 8)]);
    assert_eq!((next, rest.len()), (protocol::TCP, 21));
    assert_eq!(upper_sum(true, protocol::TCP, rest), 0xffff);
    let fragment = &frame[14 + 40 + 64..][..8];
    assert_eq!(fragment, [6, 0, 0, 1, 1, 2, 3, 4]);
    let ip = Ipv6Packet::new(&frame[14..]).unwrap();
    assert_eq!((ip.get_source(), ip.get_destination()), (SRC6, DST6));
    assert_eq!(ip.get_next_header(), IpNextHeaderProtocols::Hopopt);
}

#[test]
fn a_later_fragment_has_no_upper_layer_header() {
    let later = Fragment {
        id: 0xabcd,
        offset: 3,
        more: false,
    };
    let frame = v4().tcp(1, 2, 0).fragment(later).payload(b"rest").build();
    assert_eq!(be16(&frame, 18), 0xabcd);
    assert_eq!(be16(&frame, 20), 3);
    assert_eq!(frame[23], protocol::TCP);
    assert_eq!(&frame[34..], b"rest");
    assert_eq!(internet_sum(&[&frame[14..34]]), 0xffff);

    let frame = v6().udp(1, 2).fragment(later).payload(b"rest").build();
    let (headers, next, rest) = walk(&frame[14..]);
    assert_eq!((headers, next, rest), (vec![(44, 8)], 17, &b"rest"[..]));
}

#[test]
fn fragments_put_together_are_the_packet() {
    let payload: Vec<u8> = (0..100).collect();
    for packet in [v4().udp(1, 2), v6().udp(1, 2)] {
        let packet = packet.payload(&payload);
        let is_v6 = packet.build()[14] >> 4 == 6;
        let frames = packet.fragments(9, 30);
        assert_eq!(frames.len(), 108usize.div_ceil(24));
        let mut whole = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            let is_last = index + 1 == frames.len();
            let (offset, more, piece) = if is_v6 {
                let field = be16(frame, 14 + 40 + 2);
                (field & !7, field & 1 == 1, &frame[14 + 48..])
            } else {
                let field = be16(frame, 20);
                ((field & 0x1fff) * 8, field >> 13 == 1, &frame[34..])
            };
            assert_eq!(usize::from(offset), whole.len());
            assert_eq!(more, !is_last);
            whole.extend_from_slice(piece);
        }
        assert_eq!(upper_sum(is_v6, protocol::UDP, &whole), 0xffff);
        assert_eq!(whole[8..], payload);
    }
}

#[test]
fn traffic_class_and_hop_limit_are_where_they_belong() {
    let frame = v4().dscp(46).ttl(3).build();
    assert_eq!((frame[15], frame[22]), (46 << 2, 3));
    let frame = v6().dscp(46).ttl(3).build();
    assert_eq!(be16(&frame, 14), 0x6000 | 46 << 6);
    assert_eq!(frame[21], 3);
}

#[test]
fn damage_changes_the_bytes_it_names_and_no_others() {
    let changed = |packet: Packet, damage| {
        let good = packet.build();
        let bad = packet.damage(damage).build();
        assert_eq!(good.len(), bad.len());
        let differs = |at: &usize| good[*at] != bad[*at];
        (0..good.len())
            .filter(differs)
            .map(|at| (at, bad[at]))
            .collect::<Vec<_>>()
    };
    let tcp = v4().vlan(1).tcp(1, 2, 0);
    assert_eq!(changed(tcp.clone(), Damage::Version(6)), [(18, 0x65)]);
    assert_eq!(changed(tcp.clone(), Damage::HeaderLength(4)), [(18, 0x44)]);
    assert_eq!(changed(tcp.clone(), Damage::Length(39)), [(21, 39)]);
    assert_eq!(changed(tcp.clone(), Damage::DataOffset(4)), [(50, 0x40)]);
    assert_eq!(changed(tcp.clone(), Damage::NetworkOctet(8, 1)), [(26, 1)]);
    assert_eq!(changed(tcp, Damage::UpperOctet(1, 9)), [(39, 9)]);
    assert_eq!(changed(v6().udp(1, 2), Damage::Length(9)), [(19, 9)]);
    assert_eq!(changed(v6().udp(1, 2), Damage::Version(4)), [(14, 0x40)]);
    assert_eq!(changed(v4().udp(1, 2), Damage::UdpLength(3)), [(39, 3)]);
    assert_eq!(changed(v4(), Damage::UpperOctet(0, 1)), []);
}

#[test]
fn truncation_counts_from_the_header_named() {
    let packet = v6().service_vlan(1).vlan(2).udp(1, 2).payload(b"more");
    let len = |damage| packet.clone().damage(damage).build().len();
    assert_eq!(len(Damage::Keep(13)), 13);
    assert_eq!(len(Damage::KeepOfNetwork(39)), 14 + 8 + 39);
    assert_eq!(len(Damage::KeepOfUpper(7)), 14 + 8 + 40 + 7);
    assert_eq!(len(Damage::Keep(1000)), packet.build().len());
}

#[test]
fn a_session_has_its_headers_behind_the_tags() {
    let frame = v4().udp(1, 2).payload(b"hi").build();
    let in_session = v4()
        .udp(1, 2)
        .payload(b"hi")
        .vlan(7)
        .session(0x1234)
        .build();
    assert_eq!(in_session[..12], frame[..12]);
    // 30 bytes of IPv4, and 2 of PPP.
    let headers = [
        0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0x12, 0x34, 0, 32, 0, 0x21,
    ];
    assert_eq!(in_session[12..26], headers);
    assert_eq!(in_session[26..], frame[14..]);
    let of_ipv6 = v6().session(1).build();
    assert_eq!(of_ipv6[12..22], [0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x57]);
    let arp = Packet::arp(SRC4, DST4);
    assert_eq!(arp.clone().session(1).build(), arp.build());
}
