//! The messages for packets that cannot be read.

use std::fmt::Write as _;

use rules::notation::read;

#[test]
fn every_fault_has_its_place() {
    let lines = [
        "",
        "tpc 192.0.2.1:1 > 192.0.2.2:2",
        "frobnicate",
        "256 192.0.2.1 > 192.0.2.2",
        "tcp",
        "tcp 192.0.2.1:1",
        "tcp 192.0.2.1:1 192.0.2.2:2",
        "tcp 192.0.2.1:1 >",
        "tcp 192.0.2.1 > 192.0.2.2:2",
        "udp [2001:db8::1]:1 > 2001:db8::2",
        "tcp 192.0.2.1:1 > [2001:db8::2]:2",
        "tcp 192.0.2:1 > 192.0.2.2:2",
        "tcp [2001:db8::1:1 > [2001:db8::2]:2",
        "tcp [2001:db8::1]1 > [2001:db8::2]:2",
        "tcp [192.0.2.1]:1 > 192.0.2.2:2",
        "tcp 192.0.2.1:65536 > 192.0.2.2:2",
        "gre 192.0.2.1:1 > 192.0.2.2",
        "udp 192.0.2.1:1 > 192.0.2.2:2 fragment 8",
        "udp 192.0.2.1:1 > 192.0.2.2:2 fragment 0",
        "udp 192.0.2.1 > 192.0.2.2 fragment 1481",
        "udp 192.0.2.1 > 192.0.2.2 fragment 8++",
        "icmp 2001:db8::1 > 2001:db8::2",
        "icmpv6 192.0.2.1 > 192.0.2.2",
        "ah 2001:db8::1 > 2001:db8::2",
        "tcp 192.0.2.1:1 > 192.0.2.2:2 sny",
        "tcp 192.0.2.1:1 > 192.0.2.2:2 syn,!ack",
        "tcp 192.0.2.1:1 > 192.0.2.2:2 hop-by-hop",
        "udp 192.0.2.1:1 > 192.0.2.2:2 syn",
        "icmp 192.0.2.1 > 192.0.2.2 echo-requst",
        "icmp 192.0.2.1 > 192.0.2.2 8 0",
        "icmp 192.0.2.1 > 192.0.2.2 8/256",
        "icmp 192.0.2.1 > 192.0.2.2 neighbor-solicitation",
        "udp 192.0.2.1:1 > 192.0.2.2:2 ttl",
        "udp 192.0.2.1:1 > 192.0.2.2:2 ttl 256",
        "udp 192.0.2.1:1 > 192.0.2.2:2 ttl 1 ttl 1",
        "udp 192.0.2.1:1 > 192.0.2.2:2 dscp eff",
        "udp 192.0.2.1:1 > 192.0.2.2:2 vlan 4096",
        "udp 192.0.2.1:1 > 192.0.2.2:2 vlan 88a8/1",
        "udp 192.0.2.1:1 > 192.0.2.2:2 pppoe",
        "udp 192.0.2.1:1 > 192.0.2.2:2 pppoe 65536",
        "gre 192.0.2.1 > 192.0.2.2 length 65534 pppoe 1",
        "arp 192.0.2.1 > 192.0.2.2 pppoe 1",
        "udp 192.0.2.1:1 > 192.0.2.2:2 src_mac 02:00",
        "udp 192.0.2.1:1 > 192.0.2.2:2 length 27",
        "udp 192.0.2.1:1 > 192.0.2.2:2 length 65536",
        "udp 192.0.2.1:1 > 192.0.2.2:2 length 100 payload 100",
        "sctp 192.0.2.1:1 > 192.0.2.2:2 length 101",
        "udp 192.0.2.1:1 > 192.0.2.2:2 interface eth*",
        "udp 192.0.2.1:1 > 192.0.2.2:2 everything",
        "icmp 192.0.2.1 > 192.0.2.2 about udp 192.0.2.2:1 > 192.0.2.1:2",
        "icmp 192.0.2.1 > 192.0.2.2 echo-reply about udp 192.0.2.2:1 > 192.0.2.1:2",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about arp 192.0.2.2 > 192.0.2.1",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about udp [2001:db8::2]:1 > [2001:db8::1]:2",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about out udp 192.0.2.2:1 > 192.0.2.1:2",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about udp 192.0.2.2:1 > 192.0.2.1",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about udp 192.0.2.2:1 > 192.0.2.1:2 interface eth0",
        "out icmp 192.0.2.1 > 192.0.2.2 3/4 about udp 192.0.2.2:1 > 192.0.2.1:2 mark 1",
        "icmp 192.0.2.1 > 192.0.2.2 3/4 about icmp 192.0.2.2 > 192.0.2.1 about udp 1.2.3.4:5 > 5.6.7.8:9",
        "udp 192.0.2.1:1 > 192.0.2.2:2 about udp 192.0.2.2:1 > 192.0.2.1:2",
        "arp 192.0.2.1:1 > 192.0.2.2",
        "arp 2001:db8::1 > 2001:db8::2",
        "arp 192.0.2.1 > 192.0.2.2 ttl 1",
        "ethertype ldlp",
        "ethertype 0x10000",
        "hex",
        "hex 00 1",
        "hex xyz",
        "hex 00 vlan 1",
    ];
    let mut shown = String::new();
    for line in lines {
        let fault = read(line).expect_err(line);
        let indent = " ".repeat(line[..fault.at.start].chars().count());
        let marks = "^".repeat(fault.at.len().max(1));
        writeln!(shown, "{line}\n{indent}{marks} {}", fault.message).unwrap();
        if let Some(help) = fault.help {
            writeln!(shown, "  help: {help}").unwrap();
        }
    }
    insta::assert_snapshot!(shown);
}
