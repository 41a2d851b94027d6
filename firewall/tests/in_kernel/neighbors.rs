//! Address resolution and neighbor discovery work under a policy that drops.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use benches::network::{End, Namespace};

use crate::machine::Machine;

const PORT: u16 = 4242;

/// The only rule; what finds the neighbor has none.
const RULES: &str = r#"
[[rule]]
name = "talk"
action = "pass"
proto = "udp"
dport = 4242
"#;

#[test]
#[ignore = "needs root"]
fn neighbors_find_each_other_under_a_policy_that_drops() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", RULES));
    let (network, link) = (&machine.network, machine.network.link());
    forget_neighbors(&machine, &network.host, &link.host);
    forget_neighbors(&machine, &network.peer, &link.peer);
    let mut resolved = 0;
    for (host, peer) in [
        (IpAddr::V4(link.host.ipv4), IpAddr::V4(link.peer.ipv4)),
        (IpAddr::V6(link.host.ipv6), IpAddr::V6(link.peer.ipv6)),
    ] {
        let host = open(&network.host, host);
        let peer = open(&network.peer, peer);
        let mut buffer = [0; 8];
        peer.send_to(b"question", host.local_addr().unwrap())
            .unwrap();
        let (_, from) = host.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer, from), (b"question", peer.local_addr().unwrap()));
        host.send_to(b"response", from).unwrap();
        peer.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer, b"response");
        let counters = machine.counters();
        let (packets, _) = counters["neighbor"];
        assert!(packets > resolved, "{counters:?}");
        resolved = packets;
    }
    assert_eq!(machine.counters()["talk"].0, 2);
}

fn open(namespace: &Namespace, address: IpAddr) -> UdpSocket {
    let socket = namespace
        .run(|| UdpSocket::bind(SocketAddr::new(address, PORT)))
        .unwrap()
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    socket
}

/// Has an end look for its neighbors, which a test network tells it of.
pub(crate) fn forget_neighbors(machine: &Machine, namespace: &Namespace, end: &End) {
    let interface = &end.interface;
    // An address joins its group for neighbor solicitations when it is added.
    for arguments in [
        format!("link set {interface} arp on"),
        format!("neighbor flush dev {interface} nud permanent"),
        format!("address delete {}/64 dev {interface}", end.ipv6),
        format!("address add {}/64 dev {interface} nodad", end.ipv6),
    ] {
        let mut command = machine.command("ip");
        command.args(arguments.split(' '));
        let status = namespace.spawn(&mut command).unwrap().wait().unwrap();
        assert!(status.success(), "{arguments}");
    }
}
