//! Packets in PPPoE sessions, and TCP headers that are longer than their packet.

use benches::packet::{Damage, Packet, tcp_flags};

use crate::machine::{Count, Machine};

const RULES: &str = r#"
[[rule]]
name = "session"
action = "count"
ethertype = "pppoe"

[[rule]]
name = "in a VLAN"
action = "count"
vlan = 7

[[rule]]
name = "blocklist"
action = "drop"
src = ["203.0.113.0/24", "2001:db8:bad::/48"]

[[rule]]
name = "ssh"
action = "drop"
proto = "tcp"
dport = 22
length = 44

[[rule]]
name = "ip"
action = "count"
ethertype = ["ipv4", "ipv6"]
"#;

#[test]
#[ignore = "needs root"]
fn rules_and_bans_apply_to_ip_packets_in_sessions() {
    let machine = Machine::new();
    let link = machine.network.link();
    let _daemon = machine.apply(&machine.write_rules("pass", RULES));
    let said = machine.run(["ban", "198.51.100.7", "2001:db8:ba2::/48", "--for", "1h"]);
    assert!(said.status.success(), "{said:?}");
    let v4 = |src: [u8; 4]| link.ipv4_from(src.into()).session(17);
    let v6 = |src: &str| link.ipv6_from(src.parse().unwrap()).session(17);
    let send =
        |packet: Packet, count: u64| -> Count { (count, count * machine.send(&packet, count)) };
    let sum = |counts: &[Count]| {
        let add = |sum: Count, count: &Count| (sum.0 + count.0, sum.1 + count.1);
        counts.iter().fold((0, 0), add)
    };
    let blocked = [
        send(v4([203, 0, 113, 9]).udp(1, 2), 1),
        send(v4([203, 0, 113, 9]).tcp(1, 22, tcp_flags::SYN), 2),
        send(v6("2001:db8:bad::9").udp(1, 2), 3),
    ];
    let tagged = send(v4([203, 0, 113, 9]).udp(1, 2).vlan(7), 4);
    let banned = [
        send(v4([198, 51, 100, 7]).udp(1, 2), 5),
        send(v6("2001:db8:ba2::1").udp(1, 2), 6),
    ];
    let ssh = send(
        v4([192, 0, 2, 200])
            .tcp(1, 22, tcp_flags::SYN)
            .payload(&[0; 4]),
        7,
    );
    let passed = [
        send(v4([192, 0, 2, 200]).udp(1, 2), 8),
        send(v6("2001:db8::200").icmpv6(128, 0), 9),
    ];
    // Link control.
    let control =
        Packet::ethertype(0x8864).payload(&[0x11, 0, 0, 17, 0, 6, 0xc0, 0x21, 9, 1, 0, 4]);
    let session = send(control, 10);
    // More than the session frame has.
    let short = v4([192, 0, 2, 200]).udp(1, 2).damage(Damage::Length(29));
    let truncated = send(short, 11);
    machine.await_counters(&[
        ("session", session),
        ("in a VLAN", tagged),
        ("blocklist", sum(&[sum(&blocked), tagged])),
        ("banned", sum(&banned)),
        ("ssh", ssh),
        ("ip", sum(&passed)),
        ("policy", sum(&passed)),
        ("unknown_ethertype", session),
        ("truncated", truncated),
    ]);
}

#[test]
#[ignore = "needs root"]
fn a_tcp_header_that_is_longer_than_its_packet_is_truncated() {
    let machine = Machine::new();
    let link = machine.network.link();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let (mut whole, mut truncated) = ((0, 0), (0, 0));
    for packet in [link.ipv4(), link.ipv6()] {
        let packet = packet.tcp(1, 22, tcp_flags::SYN).payload(&[1; 8]);
        for words in 5..=15 {
            let length = machine.send(&packet.clone().damage(Damage::DataOffset(words)), 1);
            let count = if words <= 7 {
                &mut whole
            } else {
                &mut truncated
            };
            *count = (count.0 + 1, count.1 + length);
        }
    }
    machine.await_counters(&[("policy", whole), ("truncated", truncated)]);
}
