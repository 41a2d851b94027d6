//! Answers pass, and nothing else does.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use rules::packet::tcp_flags::{ACK, SYN};

use super::{Connection, Datagrams, Family, PORT, counted, counting, flows, how_many, ping, write};
use crate::{interfaces::ip, machine::Machine};

/// What a machine that answers nothing is given to answer.
const ATTEMPT: Duration = Duration::from_millis(300);

#[test]
#[ignore = "needs root"]
fn answers_pass_and_nothing_else_does() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    let link = machine.network.link();
    let mut talks = Vec::new();
    for family in Family::ALL {
        let mut connection = Connection::open(&machine, link, family, PORT);
        connection.goes_on();
        let datagrams = Datagrams::open(&machine, link, family, PORT);
        datagrams.goes_on();
        let id = ping(&machine, link, family);
        talks.push((family, connection, datagrams, id));
    }
    let expected = ["established", "replies"].map(str::to_owned);
    assert_eq!(counting(&machine), BTreeSet::from(expected));
    let counters = machine.counters();
    assert_eq!(counters["established"], counters["replies"]);
    let listed = flows(&machine);
    let protocols: Vec<&str> = listed.iter().map(|flow| flow.0.as_str()).collect();
    assert_eq!(protocols, ["echo", "echo", "tcp", "tcp", "udp", "udp"]);
    assert!(listed.iter().all(|flow| flow.3 == "answered"), "{listed:?}");

    let mut sent = 0;
    for (family, _, datagrams, _) in &talks {
        let family = *family;
        let own = datagrams.port();
        let to_host = || family.to_host(link);
        for packet in [
            // From another port than the one that was asked, and to another one.
            to_host().udp(PORT + 1, own),
            to_host().udp(PORT, own ^ 1),
            to_host().tcp(PORT, own, ACK),
            to_host().tcp(40_000, PORT, SYN),
            to_host().tcp(40_000, PORT, SYN | ACK),
            family.echo(to_host(), true),
            family.echo(to_host(), false),
            to_host().protocol(47).payload(&[0; 8]),
            // From another address.
            family.stranger(link, 1).udp(PORT, own),
        ] {
            machine.send(&packet, 1);
            sent += 1;
        }
        machine.await_packets("policy", sent);
        assert!(!datagrams.has_heard());
    }
    assert_eq!(counted(&machine, "new"), sent);
    assert_eq!(
        counted(&machine, "invalid") + counted(&machine, "related"),
        0
    );
    for (family, mut connection, datagrams, _) in talks {
        let listening = SocketAddr::new(family.of(&link.host), 8);
        let listener = machine.network.host.run(|| TcpListener::bind(listening));
        let _listener = listener.unwrap().unwrap();
        let error = connect(&machine, listening).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(counted(&machine, "policy") > sent);
        sent = counted(&machine, "policy");
        connection.goes_on();
        datagrams.goes_on();
    }
    assert_eq!(how_many(&machine), 6);
}

fn connect(machine: &Machine, to: SocketAddr) -> io::Result<TcpStream> {
    let connect = || TcpStream::connect_timeout(&to, ATTEMPT);
    machine.network.peer.run(connect).unwrap()
}

#[test]
#[ignore = "needs root"]
fn what_an_open_port_answers_makes_no_flow() {
    let machine = Machine::new();
    let open = "[[rule]]\nname = \"open\"\naction = \"pass\"\nproto = \"tcp\"\ndport = 8001\n\
                [[rule]]\nname = \"dns\"\naction = \"pass\"\nproto = \"udp\"\ndport = 53\n\
                [[rule]]\nname = \"echo\"\naction = \"pass\"\nicmp_type = \"echo-request\"\n";
    let _daemon = machine.apply(&write(&machine, open));
    let link = machine.network.link();
    let network = &machine.network;
    for family in Family::ALL {
        let host = family.of(&link.host);
        // The other way round: the peer begins.
        let to = SocketAddr::new(host, 8001);
        let mut connection = Connection::between(&network.peer, &network.host, to);
        connection.goes_on();
        let to = SocketAddr::new(host, 53);
        let datagrams = Datagrams::between(&network.peer, &network.host, to);
        datagrams.goes_on();
        machine.send(&family.echo(family.to_host(link), true), 1);
        assert_eq!(how_many(&machine), 0);
        drop(connection);
    }
    machine.await_packets("echo", 2);
    assert_eq!(how_many(&machine), 0);
    assert_eq!(counted(&machine, "established"), 0);
    assert_eq!(counted(&machine, "policy"), 0);
    // What the host itself asks from the same port does.
    let bind = || UdpSocket::bind((link.host.ipv4, 53));
    let own = network.host.run(bind).unwrap().unwrap();
    own.send_to(b"ask", (link.peer.ipv4, 54)).unwrap();
    assert_eq!(how_many(&machine), 0, "its answer is let in by a rule");
    let bind = || UdpSocket::bind((link.host.ipv4, 5353));
    let own = network.host.run(bind).unwrap().unwrap();
    own.send_to(b"ask", (link.peer.ipv4, 54)).unwrap();
    assert_eq!(how_many(&machine), 1);
}

#[test]
#[ignore = "needs root"]
fn a_machine_may_have_several_addresses_and_ask_itself() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, ""));
    ip(&machine, "link set lo up");
    let link = machine.network.link();
    let network = &machine.network;
    for family in Family::ALL {
        let to = SocketAddr::new(family.of(&link.host), 8001);
        // Over an interface that is not filtered: nothing is noted.
        Connection::between(&network.host, &network.host, to).goes_on();
    }
    assert_eq!(how_many(&machine), 0);
    assert_eq!(counting(&machine), BTreeSet::new());
}
