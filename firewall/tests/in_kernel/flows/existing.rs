//! Connections that exist when rules ask for states: they go on, whoever speaks first and however much is to come.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
};

use benches::network::Namespace;

use super::{
    Connection, Datagrams, Family, PORT, REPLIES, STATES, counted, flows, how_many,
    routers::{Router, ip_in},
    write,
};
use crate::{
    machine::{Machine, patience, wait_until},
    nftables::nft,
};

/// What a connection has still to carry.
const MUCH: usize = 20 << 20;

/// Sends much from one end to the other, which receives all of it.
fn send_much(from: &mut TcpStream, to: &mut TcpStream) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = MUCH;
            let mut buffer = vec![0; 1 << 16];
            while left > 0 {
                let length = to.read(&mut buffer).unwrap();
                assert!(length > 0, "{left} bytes are missing");
                left -= length;
            }
        });
        from.set_write_timeout(Some(patience())).unwrap();
        from.write_all(&vec![1; MUCH]).unwrap();
    });
}

/// A connection to a socket of the host that talks to both families.
fn to_both(host: &Namespace, peer: &Namespace, address: SocketAddr) -> Connection {
    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
    let listener = host.run(|| TcpListener::bind(any)).unwrap().unwrap();
    let connect = || TcpStream::connect_timeout(&address, patience());
    let far = peer.run(connect).unwrap().unwrap();
    let (own, _) = listener.accept().unwrap();
    assert!(own.local_addr().unwrap().is_ipv6());
    Connection::of(own, far)
}

/// The directions that are closed when the rules come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    None,
    Own,
    Far,
}

struct Existing {
    connection: Connection,
    closed: Closed,
}

impl Existing {
    fn new(connection: Connection, closed: Closed) -> Self {
        let mut existing = Self { connection, closed };
        existing.connection.goes_on();
        let Connection { own, far } = &mut existing.connection;
        let (closing, other) = match closed {
            Closed::None => return existing,
            Closed::Own => (own, far),
            Closed::Far => (far, own),
        };
        closing.shutdown(Shutdown::Write).unwrap();
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
        existing
    }

    /// The other end speaks first, where it can.
    fn goes_on(&mut self) {
        let Connection { own, far } = &mut self.connection;
        if self.closed != Closed::Far {
            send_much(far, own);
        }
        if self.closed != Closed::Own {
            send_much(own, far);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn connections_of_the_host_go_on() {
    let machine = Machine::new();
    let (host, peer) = (&machine.network.host, &machine.network.peer);
    let link = machine.network.link();
    let mut connections = Vec::new();
    let mut talks = Vec::new();
    let mut port = PORT;
    for family in Family::ALL {
        let [own, far] = [&link.host, &link.peer].map(|end| family.of(end));
        for closed in [Closed::None, Closed::Own, Closed::Far] {
            port += 3;
            let begun = Connection::between(host, peer, SocketAddr::new(far, port));
            let accepted = Connection::between(peer, host, SocketAddr::new(own, port + 1));
            let accepted = Connection {
                own: accepted.far,
                far: accepted.own,
            };
            let both = to_both(host, peer, SocketAddr::new(own, port + 2));
            for connection in [begun, accepted, both] {
                connections.push(Existing::new(connection, closed));
            }
        }
        let answered = Datagrams::open(&machine, link, family, PORT);
        answered.goes_on();
        // One that has sent nothing for long.
        let silent = Datagrams::open(&machine, link, family, PORT + 1);
        let to = SocketAddr::new(own, silent.port());
        talks.push((answered.asks(), answered));
        talks.push((to, silent));
    }
    // What stays on the machine is no flow.
    ip_in(host, "link set lo up");
    let inside = host.run(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let to = listener.local_addr().unwrap();
        (TcpStream::connect(to).unwrap(), listener)
    });
    let _daemon = machine.apply(&write(&machine, ""));
    assert_eq!(how_many(&machine), connections.len() + talks.len());
    let half_closed = |flow: &(String, String, String, String)| flow.3 == "half-closed";
    let found = flows(&machine);
    assert_eq!(found.iter().filter(|flow| half_closed(flow)).count(), 12);
    for (to, datagrams) in &talks {
        datagrams.answers(*to);
        wait_until("the answer has come", || datagrams.has_heard());
        datagrams.goes_on();
    }
    for existing in &mut connections {
        existing.goes_on();
    }
    assert_eq!(counted(&machine, "policy"), 0);
    assert_eq!(counted(&machine, "new"), 0);
    assert_eq!(how_many(&machine), connections.len() + talks.len());
    drop(inside);
}

#[test]
#[ignore = "needs root"]
fn a_handshake_that_has_begun_comes_to_its_end() {
    let machine = Machine::new();
    let link = machine.network.link();
    for family in Family::ALL {
        // The peer answers when its address is back.
        let to = SocketAddr::new(family.of(&link.peer), PORT);
        let listener = machine.network.peer.run(|| TcpListener::bind(to));
        let listener = listener.unwrap().unwrap();
        let table = "table inet late { chain received { type filter hook input priority 0; \
                     tcp flags syn drop; }\n}\n";
        nft(&machine.network.peer, &["-f", "-"], table);
        let begun = thread::scope(|scope| {
            let host = &machine.network.host;
            let connecting =
                scope.spawn(move || host.run(move || TcpStream::connect_timeout(&to, patience())));
            wait_until("the handshake has begun", || {
                let sockets = "/proc/thread-self/net/tcp";
                let sockets = match family {
                    Family::Ipv4 => sockets.to_owned(),
                    Family::Ipv6 => format!("{sockets}6"),
                };
                // `TCP_SYN_SENT`.
                machine
                    .network
                    .host
                    .run(|| std::fs::read_to_string(&sockets).is_ok_and(|all| all.contains(" 02 ")))
                    .unwrap()
            });
            let daemon = machine.apply(&write(&machine, ""));
            assert_eq!(how_many(&machine), 1);
            assert_eq!(flows(&machine)[0].3, "unanswered");
            nft(
                &machine.network.peer,
                &["delete", "table", "inet", "late"],
                "",
            );
            let begun = connecting.join().unwrap().unwrap().unwrap();
            drop(daemon);
            assert!(machine.run(["unload"]).status.success());
            begun
        });
        let (far, _) = listener.accept().unwrap();
        Connection::of(begun, far).goes_on();
    }
}

#[test]
#[ignore = "needs root"]
fn what_rules_let_in_stays_new() {
    let machine = Machine::new();
    let (host, peer) = (&machine.network.host, &machine.network.peer);
    let link = machine.network.link();
    let mut accepted = Vec::new();
    for family in Family::ALL {
        let to = SocketAddr::new(family.of(&link.host), PORT);
        accepted.push(Connection::between(peer, host, to));
    }
    let service = format!(
        "[[rule]]\nname = \"service\"\naction = \"pass\"\nproto = \"tcp\"\n\
         dport = {PORT}\nstate = \"new\"\n"
    );
    let _daemon = machine.apply(&machine.write_rules("drop", &format!("{REPLIES}{service}")));
    assert_eq!(how_many(&machine), 0);
    for connection in &mut accepted {
        connection.says();
        connection.hears();
    }
    assert_eq!(counted(&machine, "replies"), 0);
    assert_eq!(counted(&machine, "policy"), 0);
    let served = counted(&machine, "service");
    // A rule that logs needs to know of them.
    machine.write_rules("drop", &format!("{REPLIES}{service}log = true\n"));
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(how_many(&machine), 2);
    for connection in &mut accepted {
        connection.says();
        connection.hears();
    }
    assert!(counted(&machine, "replies") > 0);
    assert_eq!(counted(&machine, "service"), served);
    assert_eq!(counted(&machine, "policy"), 0);
}

#[test]
#[ignore = "needs root"]
fn connections_by_an_interface_that_is_filtered_later_go_on() {
    let machine = Machine::with_links(2);
    let [one, two] = machine.network.links() else {
        panic!("two links");
    };
    let file = |interfaces: &str| {
        machine.write_file(&format!(
            "[firewall]\ninterfaces = [{interfaces}]\npolicy = \"drop\"\n{STATES}{REPLIES}"
        ))
    };
    let first = format!("\"{}\"", one.host.interface);
    let both = format!("{first}, \"{}\"", two.host.interface);
    let _daemon = machine.apply(&file(&first));
    let mut connections = Vec::new();
    for family in Family::ALL {
        connections.push(Connection::open(&machine, two, family, PORT));
    }
    assert_eq!(how_many(&machine), 0);
    file(&both);
    assert!(machine.run(["reload"]).status.success());
    for connection in &mut connections {
        connection.hears();
        connection.says();
    }
    assert_eq!(counted(&machine, "policy"), 0);
    assert_eq!(how_many(&machine), 2);
}

#[test]
#[ignore = "needs root"]
fn what_a_table_has_no_room_for_is_counted() {
    const SLOTS: usize = 1_024;
    const SOCKETS: u16 = 1_500;
    let machine = Machine::new();
    let link = machine.network.link();
    let to = SocketAddr::new(link.peer.ipv4.into(), PORT);
    let open = || {
        UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
            socket.connect(to)?;
            Ok(socket)
        })
    };
    let sockets: Vec<UdpSocket> = (0..SOCKETS)
        .map(|_| machine.network.host.run(open).unwrap().unwrap())
        .collect();
    let _daemon = machine.apply(&write(&machine, &format!("[flows]\nmax = {SLOTS}\n")));
    let entered = how_many(&machine);
    assert!(entered > SLOTS * 9 / 10 && entered <= SLOTS, "{entered}");
    let left_out = usize::from(SOCKETS) - entered;
    let line = format!("{left_out} connections that exist already have no room");
    assert!(machine.log().contains(&line), "{}", machine.log());
    drop(sockets);
}

/// Has a router translate addresses, which tracks connections.
fn translate(router: &Router, rules: &str) {
    nft(&router.machine.network.host, &["-f", "-"], rules);
}

#[test]
#[ignore = "needs root"]
fn connections_through_a_router_that_masquerades_go_on() {
    let router = Router::new();
    let machine = &router.machine;
    let outer = &router.outer().host.interface;
    translate(
        &router,
        &format!(
            "table inet nat {{ chain sent {{ type nat hook postrouting priority 100; \
             oifname \"{outer}\" masquerade; }}\n}}\n"
        ),
    );
    let mut connections = Vec::new();
    let mut talks = Vec::new();
    let mut port = PORT;
    for family in Family::ALL {
        let server = family.of(&router.server);
        for closed in [Closed::None, Closed::Own, Closed::Far] {
            port += 1;
            for from in [&machine.network.peer, &machine.network.host] {
                let to = SocketAddr::new(server, port);
                let connection = Connection::between(from, &router.outside, to);
                connections.push(Existing::new(connection, closed));
            }
        }
        let to = SocketAddr::new(server, PORT);
        let datagrams = Datagrams::between(&machine.network.peer, &router.outside, to);
        datagrams.goes_on();
        let from = datagrams.asks();
        assert_eq!(from.ip(), family.of(&router.outer().host));
        talks.push((from, datagrams));
    }
    let _daemon = machine.apply(&router.write());
    for (to, datagrams) in &talks {
        datagrams.answers(*to);
        wait_until("the answer has come", || datagrams.has_heard());
        datagrams.goes_on();
    }
    for existing in &mut connections {
        existing.goes_on();
    }
    assert_eq!(counted(machine, "policy"), 0);
}

#[test]
#[ignore = "needs root"]
fn connections_to_a_server_inside_go_on() {
    let router = Router::new();
    let machine = &router.machine;
    let inside = &router.inner().peer;
    let outer = &router.outer().host.interface;
    translate(
        &router,
        &format!(
            "table inet nat {{ chain received {{ type nat hook prerouting priority -100; \
             iifname \"{outer}\" tcp dport 80 meta nfproto ipv4 dnat ip to {}:{PORT}\n\
             iifname \"{outer}\" tcp dport 80 meta nfproto ipv6 dnat ip6 to [{}]:{PORT}\n}}\n}}\n",
            inside.ipv4, inside.ipv6
        ),
    );
    let mut connections = Vec::new();
    for family in Family::ALL {
        let bind = || TcpListener::bind(SocketAddr::new(family.of(inside), PORT));
        let listener = machine.network.peer.run(bind).unwrap().unwrap();
        let to = SocketAddr::new(family.of(&router.outer().host), 80);
        let connect = || TcpStream::connect_timeout(&to, patience());
        let own = router.outside.run(connect).unwrap().unwrap();
        let (far, _) = listener.accept().unwrap();
        connections.push(Existing::new(Connection::of(own, far), Closed::None));
    }
    let _daemon = machine.apply(&router.write());
    for existing in &mut connections {
        let Connection { own, far } = &mut existing.connection;
        send_much(own, far);
        send_much(far, own);
    }
    assert_eq!(counted(machine, "policy"), 0);
}
