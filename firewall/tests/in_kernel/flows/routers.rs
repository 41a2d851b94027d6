//! A router: who is inside asks, with and without masquerading, and nothing else comes in.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    time::Duration,
};

use benches::{
    network::{End, Link, Namespace},
    tools,
    traffic::Sender,
};
use rules::packet::{Packet, tcp_flags::SYN};

use super::{Connection, Datagrams, Family, PORT, REPLIES, STATES, counted, how_many};
use crate::{
    machine::{Machine, said, wait_until},
    nftables::nft,
};

/// How long somebody outside tries.
const ATTEMPT: Duration = Duration::from_millis(300);

/// A machine between a client inside and a server outside.
pub(super) struct Router {
    pub(super) machine: Machine,
    /// Where the server is: the peers of a [`Machine`] are in one namespace, and would not need it.
    pub(super) outside: Namespace,
    pub(super) server: End,
}

impl Router {
    pub(super) fn new() -> Self {
        fn forwarding() -> std::io::Result<()> {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        }
        let machine = Machine::with_links(2);
        machine.network.host.run(forwarding).unwrap().unwrap();
        let outside = Namespace::new().unwrap();
        let path = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            outside.as_fd().as_raw_fd()
        );
        let link = &machine.network.links()[1];
        let mut server = link.peer.clone();
        ip_in(
            &machine.network.peer,
            &format!("link set {} netns {path}", server.interface),
        );
        server.put_up(&outside, &link.host, 1_500).unwrap();
        let router = Self {
            machine,
            outside,
            server,
        };
        let inner = router.inner();
        for by in Family::ALL.map(|family| family.of(&inner.host)) {
            ip_in(&router.machine.network.peer, &default("add", by));
        }
        router
    }

    pub(super) fn inner(&self) -> &Link {
        &self.machine.network.links()[0]
    }

    pub(super) fn outer(&self) -> &Link {
        &self.machine.network.links()[1]
    }

    pub(super) fn write(&self) -> std::path::PathBuf {
        let (inner, outer) = (&self.inner().host.interface, &self.outer().host.interface);
        self.machine.write_file(&format!(
            "[firewall]\ninterfaces = [\"{inner}\", \"{outer}\"]\npolicy = \"drop\"\n{STATES}{REPLIES}\
             [[rule]]\nname = \"inside\"\naction = \"pass\"\ninterface = \"{inner}\"\n"
        ))
    }

    /// Tries to reach an address from outside.
    fn is_out_of_reach(&self, address: IpAddr) {
        let policy = counted(&self.machine, "policy");
        let to = SocketAddr::new(address, 22);
        let connect = || TcpStream::connect_timeout(&to, ATTEMPT);
        let error = self.outside.run(connect).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{to}");
        assert!(counted(&self.machine, "policy") > policy);
    }
}

/// Runs `ip` in a namespace.
pub(super) fn ip_in(namespace: &Namespace, words: &str) {
    let mut command = tools::command("ip");
    command
        .args(words.split(' '))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = namespace.spawn(&mut command).unwrap();
    let said = said(child.wait_with_output().unwrap());
    assert!(said.status.success(), "ip {words}: {said:?}");
}

/// The words that add or delete the default route by a router.
fn default(what: &str, by: IpAddr) -> String {
    let family = if by.is_ipv6() { "-6" } else { "-4" };
    format!("{family} route {what} default via {by}")
}

#[test]
#[ignore = "needs root"]
fn a_router_lets_answers_in_and_nothing_else() {
    let router = Router::new();
    for by in Family::ALL.map(|family| family.of(&router.outer().host)) {
        ip_in(&router.outside, &default("add", by));
    }
    converse(&router, false);
}

#[test]
#[ignore = "needs root"]
fn a_router_that_masquerades_lets_answers_in_and_nothing_else() {
    let router = Router::new();
    let outer = &router.outer().host.interface;
    nft(
        &router.machine.network.host,
        &["-f", "-"],
        &format!(
            "table inet nat {{ chain sent {{ type nat hook postrouting priority 100; \
             oifname \"{outer}\" masquerade; }}\n}}\n"
        ),
    );
    converse(&router, true);
}

fn converse(router: &Router, masquerades: bool) {
    let machine = &router.machine;
    let _daemon = machine.apply(&router.write());
    let (inner, outer) = (router.inner(), router.outer());
    let mut sender = Sender::open(&router.outside, &router.server).unwrap();
    let mut made = 0;
    for family in Family::ALL {
        let to = SocketAddr::new(family.of(&router.server), PORT);
        let mut connection = Connection::between(&machine.network.peer, &router.outside, to);
        connection.goes_on();
        let datagrams = Datagrams::between(&machine.network.peer, &router.outside, to);
        datagrams.goes_on();
        made += 2;
        // One flow for each, as it is outside.
        assert_eq!(how_many(machine), made);
        let source = if masquerades {
            &outer.host
        } else {
            &inner.peer
        };
        let source = family.of(source);
        let from = datagrams.asks();
        assert_eq!(from.ip(), source);
        let said = machine.run(["flows", "--count", "--address", &source.to_string()]);
        assert_eq!(said.stdout, "2\n");
        // An error from outside, which reaches the client.
        let quoted = Packet::ip(source, to.ip()).unwrap().udp(from.port(), PORT);
        let quoted = &quoted.build()[14..];
        let error = Packet::ip(to.ip(), source).unwrap();
        let error = match family {
            Family::Ipv4 => error.icmp(3, 3),
            Family::Ipv6 => error.icmpv6(1, 4),
        };
        let error = outer.to_host(error.payload(quoted));
        let related = counted(machine, "related");
        sender.send(&error.build()).unwrap();
        machine.await_packets("related", related + 1);
        wait_until("the client knows", || {
            let error = datagrams.own.recv(&mut [0]).unwrap_err();
            error.kind() == ErrorKind::ConnectionRefused
        });
        // What the server sends to other ports, and what others send to this one.
        let policy = counted(machine, "policy");
        for packet in [
            Packet::ip(to.ip(), source)
                .unwrap()
                .udp(PORT + 1, from.port()),
            Packet::ip(to.ip(), source)
                .unwrap()
                .udp(PORT, from.port() ^ 1),
            Packet::ip(to.ip(), source).unwrap().tcp(PORT, 22, SYN),
        ] {
            sender.send(&outer.to_host(packet).build()).unwrap();
        }
        machine.await_packets("policy", policy + 3);
        if !masquerades {
            router.is_out_of_reach(family.of(&inner.peer));
        }
        router.is_out_of_reach(family.of(&outer.host));
        connection.goes_on();
        // The router itself asks outside, and inside, where rules let in what answers.
        let mut own = Connection::between(&machine.network.host, &router.outside, to);
        own.goes_on();
        made += 1;
        let inside = SocketAddr::new(family.of(&inner.peer), PORT);
        Connection::between(&machine.network.host, &machine.network.peer, inside).goes_on();
        // A SYN out is noted always.
        made += 1;
        assert_eq!(how_many(machine), made);
    }
    assert_eq!(counted(machine, "invalid"), 0);
}
