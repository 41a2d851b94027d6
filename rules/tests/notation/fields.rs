//! From the notation to a frame, and back to the fields that the packet parser and the evaluator
//! read.

use firewall_ebpf::parse::{parse, present};
use rules::{
    Context, FieldName,
    evaluator::{Fields, decode},
    explanation::value,
    notation::read,
};

/// The fields of a packet as rules write them, in one line.
pub(crate) fn shown(frame: &[u8], context: &Context<Option<String>>) -> String {
    let context = context.as_ref().map(Option::as_deref);
    let fields = match decode(frame) {
        Ok(fields) => fields,
        Err(reason) => return reason.name().to_owned(),
    };
    agree(frame, &fields);
    let shown: Vec<_> = FieldName::ALL
        .iter()
        .filter_map(|field| Some((field.as_str(), value(*field, &fields, &context)?)))
        .filter(|(name, _)| !name.ends_with("_mac") && !matches!(*name, "family" | "state"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    shown.join(" ")
}

/// Fails unless the packet parser and the evaluator read the same.
pub(crate) fn agree(frame: &[u8], fields: &Fields) {
    let headers = parse(frame).unwrap();
    let has = |bits| headers.has(bits);
    assert_eq!(headers.ethertype, fields.ethertype);
    assert_eq!(
        has(present::PORTS).then_some((headers.sport, headers.dport)),
        fields.sport.zip(fields.dport)
    );
    assert_eq!(
        has(present::TCP).then_some(headers.tcp_flags),
        fields.tcp_flags
    );
    assert_eq!(has(present::ICMP).then_some(headers.icmp), fields.icmp);
    assert_eq!(fields.is_fragment == Some(true), has(present::FRAGMENT));
    if fields.family.is_some() {
        assert_eq!(Some(headers.protocol), fields.protocol);
        assert_eq!(Some(headers.ttl), fields.hop_limit);
    }
}

#[test]
fn every_word_is_read_back_as_a_field() {
    let lines = [
        "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn",
        "tcp 203.0.113.9:4444 > 192.0.2.1:22",
        "tcp 203.0.113.9:4444>192.0.2.1:22 syn,ack ece",
        "tcp 203.0.113.9:4444 > 192.0.2.1:22 null",
        "6 203.0.113.9:4444 > 192.0.2.1:22 fin,psh,urg",
        "udp [2001:db8::1]:53 > [2001:db8::2]:5353 ttl 1 dscp ef payload 100",
        "udplite 192.0.2.1:1 > 192.0.2.2:2 dscp 63",
        "sctp 192.0.2.1:1 > 192.0.2.2:2",
        "dccp [2001:db8::1]:1 > [2001:db8::2]:2",
        "icmp 192.0.2.1 > 192.0.2.2",
        "icmp 192.0.2.1 > 192.0.2.2 destination-unreachable/4",
        "icmp 192.0.2.1 > 192.0.2.2 200/7 payload 4",
        "icmpv6 fe80::1 > ff02::1:ff00:2 neighbor-solicitation",
        "icmpv6 fe80::1 > ff02::1 mld-listener-query hop-by-hop",
        "icmpv6 2001:db8::1 > 2001:db8::2 packet-too-big",
        "igmp 192.0.2.1 > 224.0.0.1",
        "igmp 192.0.2.1 > 224.0.0.1 membership-query",
        "gre 192.0.2.1 > 192.0.2.2",
        "99 2001:db8::1 > [2001:db8::2]",
        "59 2001:db8::1 > 2001:db8::2 destination",
        "ah 192.0.2.1 > 192.0.2.2",
        "tcp [2001:db8::1]:1 > [2001:db8::2]:2 hop-by-hop routing destination ah fragment 0+ destination",
        "tcp [2001:db8::1]:1 > [2001:db8::2]:2 fragment 0",
        "udp 2001:db8::1 > 2001:db8::2 ah fragment 1480+",
        "udp 192.0.2.1:1 > 192.0.2.2:2 fragment 0+ length 1500",
        "udp 192.0.2.1 > 192.0.2.2 fragment 1480",
        "2 192.0.2.1 > 224.0.0.22 ip_option router-alert ttl 1",
        "udp 192.0.2.1:1 > 192.0.2.2:2 ip_option nop,lsrr,eol,200 length 1500",
        "udp 192.0.2.1:1 > 192.0.2.2:2 vlan 10",
        "udp 192.0.2.1:1 > 192.0.2.2:2 vlan 0x88a8/100 vlan 10 vlan 0x9100/4095",
        "udp 192.0.2.1:1 > 192.0.2.2:2 interface eth0.10",
        "udp 192.0.2.1:1 > 192.0.2.2:2 truncate 40",
        "udp 192.0.2.1:1 > 192.0.2.2:2 pppoe 17",
        "tcp [2001:db8::1]:1 > [2001:db8::2]:22 syn vlan 7 pppoe 0xffff length 100",
        "ethertype pppoe",
        "arp 192.0.2.1 > 192.0.2.2 vlan 7",
        "ethertype 0x88cc",
        "ethertype lacp payload 110",
        "ethertype 2048 payload 3",
        "hex 0200000000020200000000 0188CC 0207 interface eth1",
        "hex 0011 truncate 1",
    ];
    let shown: Vec<_> = lines
        .iter()
        .map(|line| match read(line) {
            Ok(packet) => {
                let length = packet.frame.len();
                let fields = shown(&packet.frame, &packet.context);
                format!("{line}\n    {length} bytes: {fields}")
            }
            Err(fault) => format!("{line}\n    fault: {}", fault.message),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn hardware_addresses_are_those_given_or_those_of_a_group() {
    let macs = |line: &str| {
        let frame = read(line).unwrap().frame;
        let fields = decode(&frame).unwrap();
        (fields.src_mac, fields.dst_mac)
    };
    let usual = (0x0000_5e00_53fe, 0x0000_5e00_53ff);
    assert_eq!(macs("icmp 192.0.2.1 > 192.0.2.2"), usual);
    let given = "udp 192.0.2.1:1 > 224.0.0.1:2 src_mac 02:00:00:00:00:01 dst_mac 02:00:00:00:00:02";
    assert_eq!(macs(given), (0x0200_0000_0001, 0x0200_0000_0002));
    for (line, dst) in [
        ("arp 192.0.2.1 > 192.0.2.2", 0xffff_ffff_ffff),
        ("udp 0.0.0.0:68 > 255.255.255.255:67", 0xffff_ffff_ffff),
        ("udp 192.0.2.1:1 > 239.129.2.3:2", 0x0100_5e01_0203),
        ("icmpv6 fe80::1 > ff02::1:ff00:2", 0x3333_ff00_0002),
    ] {
        assert_eq!(macs(line), (usual.0, dst), "{line}");
    }
}

#[test]
fn an_error_has_the_packet_that_it_is_about() {
    let packet = |text: &str| read(text).unwrap().frame.split_off(14);
    let about = "tcp 192.0.2.2:1 > 192.0.2.9:443 syn ttl 3";
    let error = packet(&format!(
        "icmp 192.0.2.1 > 192.0.2.2 ttl 9 3/4 about {about}"
    ));
    assert_eq!(error[20..22], [3, 4]);
    assert_eq!(error[28..], packet(about));
    assert_eq!(error[8], 9);
    // Without it, and of another length.
    let usual = packet("icmp 192.0.2.1 > 192.0.2.2 3/4");
    let written = "udp 192.0.2.2:33434 > 192.0.2.1:33434";
    assert_eq!(usual[28..], packet(written));
    let cut = packet(&format!(
        "icmp 192.0.2.1 > 192.0.2.2 3/4 payload 28 about {about}"
    ));
    assert_eq!(cut[28..], packet(about)[..28]);
    // An error about an error, which no one sends.
    let inner = format!("icmpv6 2001:db8::1 > 2001:db8::2 time-exceeded about {}", {
        "udp [2001:db8::2]:1 > [2001:db8::3]:2 hop-by-hop payload 100"
    });
    let outer = packet(&format!(
        "icmpv6 2001:db8::4 > 2001:db8::1 packet-too-big about {inner}"
    ));
    assert_eq!(outer[48..], packet(&inner));
}
