//! Packets are passed, dropped and counted as the rules say.

use std::{fs, net::Ipv4Addr, sync::atomic::AtomicBool};

use benches::{
    mix::{Flow, Mix},
    packet::{Packet, tcp_flags},
    traffic::{Limit, Receiver, Sender},
};

use crate::machine::{Count, Machine};

const RULES: &str = r#"
[sets]
office = ["198.51.100.0/24", "2001:db8:1::/48"]
listed = { file = "listed.txt" }

[[rule]]
name = "all udp"
action = "count"
proto = "udp"

[[rule]]
name = "ssh from the office"
action = "pass"
proto = "tcp"
src = "@office"
dport = 22

[[rule]]
name = "listed"
action = "drop"
src = "@listed"

[[rule]]
name = "web"
action = "pass"
proto = "tcp"
dport = [80, "8000-8099"]
tcp_flags = "syn,!ack"

[[rule]]
name = "ping"
action = "pass"
icmp_type = "echo-request"
"#;

const LISTED: &str = "203.0.113.0/25 # a prefix\n203.0.113.200-203.0.113.210\n2001:db8:bad::/48\n";

/// A flow, the rules that count it, and whether it passes.
struct Case {
    name: &'static str,
    packet: Packet,
    counted: &'static [&'static str],
    passes: bool,
}

fn cases(machine: &Machine) -> Vec<Case> {
    let link = machine.network.link();
    let from = |a, b, c, d| link.ipv4_from(Ipv4Addr::new(a, b, c, d));
    let from6 = |text: &str| link.ipv6_from(text.parse().unwrap());
    let case = |name, packet, counted, passes| Case {
        name,
        packet,
        counted,
        passes,
    };
    let syn = tcp_flags::SYN;
    vec![
        case(
            "office",
            from(198, 51, 100, 9).tcp(4000, 22, syn),
            &["ssh from the office"],
            true,
        ),
        case(
            "office 6",
            from6("2001:db8:1::9").tcp(4000, 22, syn),
            &["ssh from the office"],
            true,
        ),
        case(
            "ssh from elsewhere",
            from(198, 51, 101, 9).tcp(4000, 22, syn),
            &["policy"],
            false,
        ),
        case(
            "listed",
            from(203, 0, 113, 127).tcp(4000, 80, syn),
            &["listed"],
            false,
        ),
        case(
            "listed range",
            from(203, 0, 113, 210).tcp(4000, 80, syn),
            &["listed"],
            false,
        ),
        case(
            "listed 6",
            from6("2001:db8:bad::1").udp(4000, 80),
            &["all udp", "listed"],
            false,
        ),
        case(
            "beside the list",
            from(203, 0, 113, 128).tcp(4000, 80, syn),
            &["web"],
            true,
        ),
        case("web", link.ipv6().tcp(4000, 8099, syn), &["web"], true),
        case(
            "web, not the first",
            link.ipv4().tcp(4000, 80, tcp_flags::ACK),
            &["policy"],
            false,
        ),
        case("ping", link.ipv4().icmp(8, 0), &["ping"], true),
        case("ping 6", link.ipv6().icmpv6(128, 0), &["ping"], true),
        case(
            "answer to a ping",
            link.ipv4().icmp(0, 0),
            &["policy"],
            false,
        ),
        case(
            "udp",
            link.ipv4().udp(4000, 4000),
            &["all udp", "policy"],
            false,
        ),
        case(
            "tagged",
            from(203, 0, 113, 1).tcp(1, 80, syn).vlan(7),
            &["listed"],
            false,
        ),
        case(
            "options",
            from(203, 0, 113, 1).options(&[1; 4]).tcp(1, 80, syn),
            &["listed"],
            false,
        ),
    ]
}

#[test]
#[ignore = "needs root"]
fn each_packet_gets_the_verdict_of_its_rule_and_is_counted_once() {
    const PACKETS: u64 = 3_000;
    let machine = Machine::new();
    fs::write(machine.folder.path().join("listed.txt"), LISTED).unwrap();
    let _daemon = machine.apply(&machine.write_rules("drop", RULES));
    let cases = cases(&machine);
    let flows = cases
        .iter()
        .map(|case| Flow::new(case.name).packet(case.packet.clone()));
    let mut mix = Mix::new(1, flows);
    let link = machine.network.link();
    let receiver = Receiver::start(&machine.network.host, &link.host, cases.len()).unwrap();
    let sent = Sender::open(&machine.network.peer, &link.peer)
        .unwrap()
        .run(
            &mut mix,
            10_000,
            Limit::Packets(PACKETS),
            &AtomicBool::new(false),
        )
        .unwrap();
    let arrived = receiver.finish().unwrap();
    assert_eq!(arrived.unmarked, 0);
    let mut expected: std::collections::BTreeMap<&str, Count> = std::collections::BTreeMap::new();
    for (number, case) in cases.iter().enumerate() {
        let (packets, bytes) = (sent.packets[number], sent.bytes[number]);
        let passed = if case.passes { packets } else { 0 };
        assert_eq!(arrived.flows[number].packets, passed, "{}", case.name);
        for name in case.counted {
            let count = expected.entry(name).or_default();
            *count = (count.0 + packets, count.1 + bytes);
        }
    }
    let expected: Vec<(&str, Count)> = expected.into_iter().collect();
    machine.await_counters(&expected);
}

#[test]
#[ignore = "needs root"]
fn rules_for_an_interface_hold_there_alone() {
    let machine = Machine::with_links(2);
    let names = machine
        .network
        .links()
        .iter()
        .map(|link| link.host.interface.clone());
    let [first, second] = <[String; 2]>::try_from(names.collect::<Vec<_>>()).unwrap();
    let _daemon = machine.apply(&machine.write_file(&format!(
        "[firewall]\ninterfaces = [\"fw-host*\"]\n\
         [[rule]]\nname = \"second\"\naction = \"drop\"\ninterface = \"{second}\"\n\
         [[rule]]\nname = \"not second\"\naction = \"count\"\ninterface = \"!{second}\"\n\
         [[rule]]\nname = \"first\"\naction = \"drop\"\ninterface = \"{first}\"\n"
    )));
    let mut lengths = Vec::new();
    for (link, count) in machine.network.links().iter().zip([3, 5]) {
        let frame = link.ipv4().udp(1, 2).build();
        let mut sender = Sender::open(&machine.network.peer, &link.peer).unwrap();
        for _ in 0..count {
            sender.send(&frame).unwrap();
        }
        lengths.push(frame.len() as u64);
    }
    machine.await_counters(&[
        ("not second", (3, 3 * lengths[0])),
        ("first", (3, 3 * lengths[0])),
        ("second", (5, 5 * lengths[1])),
    ]);
}
