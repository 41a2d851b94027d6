//! Interfaces without Ethernet header, filtered at the hooks of traffic control.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use benches::network::Tun;
use nix::sys::signal::Signal;
use rules::packet::Packet;
use serde_json::Value;

use crate::{
    interfaces::ip,
    machine::{Machine, json, wait_until},
    reload::drop_port,
};

const NAME: &str = "fw-tun";
const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The bytes of the header that no packet of these interfaces has.
const ETHERNET: usize = 14;

/// Makes the interface and brings it up.
fn tunnel(machine: &Machine) -> Tun {
    let tun = machine.network.host.run(|| Tun::new(NAME));
    let tun = tun.unwrap().unwrap();
    ip(machine, &format!("addr add {HOST}/24 dev {NAME}"));
    ip(
        machine,
        &format!("addr add 2001:db8::1/64 dev {NAME} nodad"),
    );
    ip(machine, &format!("link set {NAME} up"));
    tun
}

/// Has the machine receive packets from the tunnel; returns the length of each.
fn receive(tun: &mut Tun, packet: &Packet, count: u64) -> u64 {
    let frame = packet.build();
    for _ in 0..count {
        tun.send(&frame[ETHERNET..]).unwrap();
    }
    (frame.len() - ETHERNET) as u64
}

fn udp(port: u16) -> Packet {
    Packet::ipv4(PEER, HOST).udp(40_000, port)
}

/// Has the machine send packets into the tunnel, and returns how many come out of it.
fn leaving(machine: &Machine, tun: &mut Tun, port: u16, count: u64) -> usize {
    let send = || {
        let socket = UdpSocket::bind((HOST, 0)).unwrap();
        for _ in 0..count {
            // A packet that is dropped is an error for its sender.
            let _ = socket.send_to(&[0; 32], SocketAddr::new(PEER.into(), port));
        }
    };
    machine.network.host.run(send).unwrap();
    let mut came = 0;
    while let Some(packet) = tun.receive().unwrap() {
        let is_it = packet[0] == 0x45 && packet[22..24] == port.to_be_bytes();
        came += usize::from(is_it);
    }
    came
}

fn write(machine: &Machine, interfaces: &str, rules: &str) -> std::path::PathBuf {
    machine.write_file(&format!("[firewall]\ninterfaces = [{interfaces}]\n{rules}"))
}

/// The states of the interfaces, and the hooks at which they are filtered.
fn states(machine: &Machine) -> (Vec<Value>, Vec<String>) {
    let status = machine.status();
    let interfaces = status["interfaces"].as_array().unwrap();
    let interfaces = interfaces.iter().filter(|at| at["name"] == NAME);
    let hooks = status["traffic_control"].as_array().into_iter().flatten();
    let hooks = hooks.filter(|at| at["interface"] == NAME && at["state"] == "attached");
    (
        interfaces.map(|at| at["state"].clone()).collect(),
        hooks
            .map(|at| at["hook"].as_str().unwrap().to_owned())
            .collect(),
    )
}

#[test]
#[ignore = "needs root"]
fn a_tunnel_is_filtered_in_both_directions() {
    let machine = Machine::new();
    let mut tun = tunnel(&machine);
    let rules = drop_port("in", 8)
        + &drop_port("out", 9)
        + "direction = \"out\"\n"
        + "[[rule]]\nname = \"echo\"\naction = \"drop\"\nicmp_type = \"echo-request\"\n\
           family = \"ipv6\"\ninterface = \"fw-tun\"\n";
    let file = write(&machine, &format!("\"{NAME}\""), &rules);
    let mut daemon = machine.apply(&file);
    let length = receive(&mut tun, &udp(8), 3);
    machine.await_counters(&[("in", (3, 3 * length))]);
    let from = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    let to = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let echo = Packet::ipv6(from, to).icmpv6(128, 0);
    let echo_length = receive(&mut tun, &echo, 2);
    machine.await_packets("echo", 2);
    assert_eq!(leaving(&machine, &mut tun, 9, 4), 0);
    assert_eq!(leaving(&machine, &mut tun, 10, 4), 4);
    let counters = machine.counters();
    assert_eq!(counters["in"], (3, 3 * length));
    assert_eq!(counters["echo"], (2, 2 * echo_length));
    assert_eq!(counters["out"], (4, 4 * (20 + 8 + 32)));
    let (states, hooks) = states(&machine);
    assert_eq!(states, ["attached"]);
    assert_eq!(hooks, ["ingress", "egress"]);
    let text = machine.run(["status"]).stdout;
    assert!(text.contains("by traffic control"), "{text}");
    // Bans and broken packets are of packets in everywhere.
    assert!(machine.run(["ban", &PEER.to_string()]).status.success());
    receive(&mut tun, &udp(10), 2);
    assert_eq!(leaving(&machine, &mut tun, 10, 1), 1);
    assert!(machine.run(["unban", &PEER.to_string()]).status.success());
    let mut short = udp(10).build();
    short.truncate(ETHERNET + 12);
    tun.send(&short[ETHERNET..]).unwrap();
    wait_until("the short packet is counted", || {
        let said = machine.run(["counters", "--json"]).stdout;
        let counters = json(&said);
        let reasons = counters["reasons"].as_array().unwrap();
        let packets = |name: &str| {
            let mut rows = reasons.iter().filter(|row| row["name"] == name);
            rows.any(|row| row["packets"].as_u64() > Some(0))
        };
        packets("truncated") && packets("banned")
    });
    let objects = machine.objects();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert_eq!(leaving(&machine, &mut tun, 9, 2), 2);
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn without_rules_for_what_is_sent_there_is_no_program_for_it() {
    let machine = Machine::new();
    let mut tun = tunnel(&machine);
    let file = write(&machine, &format!("\"{NAME}\""), &drop_port("in", 8));
    let _daemon = machine.apply(&file);
    assert_eq!(states(&machine).1, ["ingress"]);
    let length = receive(&mut tun, &udp(8), 1);
    machine.await_counters(&[("in", (1, length))]);
    assert_eq!(leaving(&machine, &mut tun, 8, 1), 1);
}

#[test]
#[ignore = "needs root"]
fn a_tunnel_that_comes_later_is_filtered_and_one_that_goes_is_forgotten() {
    let machine = Machine::new();
    let interface = machine.interface().to_owned();
    let interfaces = format!("\"{interface}\", \"fw-t*\"");
    let rules = drop_port("in", 8) + &drop_port("out", 9) + "direction = \"out\"\n";
    let _daemon = machine.apply(&write(&machine, &interfaces, &rules));
    for _ in 0..2 {
        let mut tun = tunnel(&machine);
        wait_until("the tunnel is filtered", || {
            states(&machine).1 == ["ingress", "egress"]
        });
        receive(&mut tun, &udp(8), 1);
        assert_eq!(leaving(&machine, &mut tun, 9, 1), 0);
        assert_eq!(leaving(&machine, &mut tun, 10, 1), 1);
        drop(tun);
        wait_until("it is forgotten", || states(&machine).1.is_empty());
    }
    machine.await_packets("in", 2);
    machine.await_packets("out", 2);
}

#[test]
#[ignore = "needs root"]
fn a_killed_daemon_leaves_a_tunnel_filtered_and_another_takes_over() {
    let machine = Machine::new();
    let mut tun = tunnel(&machine);
    let rules = drop_port("in", 8) + &drop_port("out", 9) + "direction = \"out\"\n";
    let file = write(&machine, &format!("\"{NAME}\""), &rules);
    let daemon = machine.apply(&file);
    daemon.kill();
    receive(&mut tun, &udp(8), 1);
    assert_eq!(leaving(&machine, &mut tun, 9, 1), 0);
    let daemon = machine.apply(&file);
    receive(&mut tun, &udp(8), 1);
    assert_eq!(leaving(&machine, &mut tun, 9, 1), 0);
    machine.await_packets("in", 2);
    machine.await_packets("out", 2);
    let objects = machine.objects();
    daemon.kill();
    assert!(machine.run(["unload"]).status.success());
    assert_eq!(leaving(&machine, &mut tun, 9, 1), 1);
    machine.assert_nothing_left(&objects);
}
