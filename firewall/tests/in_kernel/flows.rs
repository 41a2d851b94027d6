//! The states of packets in: what packets out make of them. Sockets talk across two namespaces; frames that no
//! socket would send are made by hand.

mod closes;
mod day;
mod errors;
mod existing;
mod floods;
mod fragments;
mod life;
mod neighborhood;
mod oracle;
mod races;
mod replies;
mod routers;
mod sizes;
mod spoofed;
mod times;

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
};

use benches::network::{End, Link, Namespace};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use rules::packet::Packet;
use serde_json::Value;

use crate::machine::{Machine, json, patience, wait_until};

/// Counts packets in by their states.
pub(super) const STATES: &str = r#"
[[rule]]
name = "new"
action = "count"
state = "new"
[[rule]]
name = "established"
action = "count"
state = "established"
[[rule]]
name = "related"
action = "count"
state = "related"
[[rule]]
name = "invalid"
action = "count"
state = "invalid"
"#;

/// Passes answers.
pub(super) const REPLIES: &str = r#"
[[rule]]
name = "replies"
action = "pass"
state = ["established", "related"]
"#;

/// The port that peers answer at.
const PORT: u16 = 7;

/// Writes rules that count states and pass answers, then `rules`, and drop everything else.
fn write(machine: &Machine, rules: &str) -> PathBuf {
    machine.write_rules("drop", &format!("{STATES}{REPLIES}{rules}"))
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The address of an end.
    fn of(self, end: &End) -> IpAddr {
        match self {
            Self::Ipv4 => end.ipv4.into(),
            Self::Ipv6 => end.ipv6.into(),
        }
    }

    fn any(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// A packet from the peer to the host.
    fn to_host(self, link: &Link) -> Packet {
        match self {
            Self::Ipv4 => link.ipv4(),
            Self::Ipv6 => link.ipv6(),
        }
    }

    /// A packet from a stranger beyond the peer to the host.
    fn stranger(self, link: &Link, number: u32) -> Packet {
        match self {
            Self::Ipv4 => link.ipv4_from(Ipv4Addr::from(0x0a00_0001 + number)),
            Self::Ipv6 => {
                let first = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1));
                link.ipv6_from(Ipv6Addr::from(first + u128::from(number)))
            }
        }
    }

    /// Makes it an echo request, or the reply to one, with the identifier 0.
    fn echo(self, packet: Packet, is_request: bool) -> Packet {
        match (self, is_request) {
            (Self::Ipv4, true) => packet.icmp(8, 0),
            (Self::Ipv4, false) => packet.icmp(0, 0),
            (Self::Ipv6, true) => packet.icmpv6(128, 0),
            (Self::Ipv6, false) => packet.icmpv6(129, 0),
        }
    }
}

/// A TCP connection that the host has begun.
struct Connection {
    own: TcpStream,
    far: TcpStream,
}

impl Connection {
    fn open(machine: &Machine, link: &Link, family: Family, port: u16) -> Self {
        let network = &machine.network;
        let to = SocketAddr::new(family.of(&link.peer), port);
        Self::between(&network.host, &network.peer, to)
    }

    /// From a namespace to an address of another one.
    fn between(from: &Namespace, to: &Namespace, address: SocketAddr) -> Self {
        // Another test's process that begins just now may still have the listener of the last connection.
        let mut listener = None;
        wait_until("the port is free", || {
            listener = to.run(|| TcpListener::bind(address)).unwrap().ok();
            listener.is_some()
        });
        let listener = listener.unwrap();
        let connect = || TcpStream::connect_timeout(&address, patience());
        let own = from.run(connect).unwrap().unwrap();
        let (far, _) = listener.accept().unwrap();
        Self::of(own, far)
    }

    fn of(own: TcpStream, far: TcpStream) -> Self {
        for stream in [&own, &far] {
            stream.set_read_timeout(Some(patience())).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        Self { own, far }
    }

    /// The port of the host.
    fn port(&self) -> u16 {
        self.own.local_addr().unwrap().port()
    }

    fn says(&mut self) {
        pass_on(&mut self.own, &mut self.far);
    }

    fn hears(&mut self) {
        pass_on(&mut self.far, &mut self.own);
    }

    /// Each end sends something that the other one receives.
    fn goes_on(&mut self) {
        self.says();
        self.hears();
    }
}

fn pass_on(from: &mut TcpStream, to: &mut TcpStream) {
    let mut bytes = [0; 5];
    from.write_all(b"hello").unwrap();
    to.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

/// UDP that the host begins.
struct Datagrams {
    own: UdpSocket,
    far: UdpSocket,
}

impl Datagrams {
    fn open(machine: &Machine, link: &Link, family: Family, port: u16) -> Self {
        let network = &machine.network;
        let to = SocketAddr::new(family.of(&link.peer), port);
        Self::between(&network.host, &network.peer, to)
    }

    fn between(from: &Namespace, to: &Namespace, address: SocketAddr) -> Self {
        let any: IpAddr = if address.is_ipv4() {
            Family::Ipv4.any()
        } else {
            Family::Ipv6.any()
        };
        // As for a listener.
        let mut far = None;
        wait_until("the port is free", || {
            far = to.run(|| UdpSocket::bind(address)).unwrap().ok();
            far.is_some()
        });
        let far = far.unwrap();
        let own = from.run(|| UdpSocket::bind((any, 0))).unwrap().unwrap();
        own.connect(address).unwrap();
        own.set_nonblocking(true).unwrap();
        far.set_read_timeout(Some(patience())).unwrap();
        Self { own, far }
    }

    fn port(&self) -> u16 {
        self.own.local_addr().unwrap().port()
    }

    /// Sends a packet, and returns from where it has arrived.
    fn asks(&self) -> SocketAddr {
        self.own.send(b"ask").unwrap();
        let (_, from) = self.far.recv_from(&mut [0; 8]).unwrap();
        from
    }

    fn answers(&self, to: SocketAddr) {
        self.far.send_to(b"answer", to).unwrap();
    }

    /// Whether a packet has come back.
    fn has_heard(&self) -> bool {
        match self.own.recv(&mut [0; 8]) {
            Ok(length) => length == 6,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }

    fn goes_on(&self) {
        let from = self.asks();
        self.answers(from);
        wait_until("the answer has come", || self.has_heard());
    }
}

/// Sends an echo request from the host and waits for the reply; returns the identifier.
fn ping(machine: &Machine, link: &Link, family: Family) -> u16 {
    let (domain, protocol, kind) = match family {
        Family::Ipv4 => (AddressFamily::Inet, SockProtocol::Icmp, 8),
        Family::Ipv6 => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
    };
    let open = || {
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
        socket(domain, SockType::Datagram, SockFlag::empty(), protocol).unwrap()
    };
    let socket = UdpSocket::from(machine.network.host.run(open).unwrap());
    socket.set_read_timeout(Some(patience())).unwrap();
    socket.connect((family.of(&link.peer), 0)).unwrap();
    socket.send(&[kind, 0, 0, 0, 0, 0, 0, 1]).unwrap();
    let mut reply = [0; 8];
    assert_eq!(socket.recv(&mut reply).unwrap(), 8);
    // The kernel chooses it, and does not say so in the address of a socket of every family.
    u16::from_be_bytes([reply[4], reply[5]])
}

/// How many packets a rule or reason has counted.
fn counted(machine: &Machine, name: &str) -> u64 {
    machine.counters().get(name).map_or(0, |count| count.0)
}

/// The names of the rules and reasons that have counted.
fn counting(machine: &Machine) -> BTreeSet<String> {
    machine.counters().into_keys().collect()
}

/// The listing of the flows.
fn listing(machine: &Machine) -> Value {
    let said = machine.run(["flows", "--json"]);
    assert!(said.status.success(), "{said:?}");
    json(&said.stdout)
}

/// The flows: protocol, ends and phase, sorted.
fn flows(machine: &Machine) -> Vec<(String, String, String, String)> {
    let listing = listing(machine);
    let flows = listing["flows"].as_array().unwrap().iter();
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut flows: Vec<_> = flows
        .map(|flow| {
            (
                text(&flow["protocol"]),
                text(&flow["from"]),
                text(&flow["to"]),
                text(&flow["phase"]),
            )
        })
        .collect();
    flows.sort();
    flows
}

/// How many flows there are.
fn how_many(machine: &Machine) -> usize {
    let said = machine.run(["flows", "--count"]);
    assert!(said.status.success(), "{said:?}");
    said.stdout.trim().parse().unwrap()
}

/// The phase of the only flow that has a port at an end.
fn phase(machine: &Machine, port: u16) -> String {
    let said = machine.run(["flows", "--json", "--port", &port.to_string()]);
    assert!(said.status.success(), "{said:?}");
    let listing = json(&said.stdout);
    let flows = listing["flows"].as_array().unwrap();
    assert_eq!(flows.len(), 1, "{listing}");
    flows[0]["phase"].as_str().unwrap().to_owned()
}

/// The listing of the events.
fn events(machine: &Machine) -> Value {
    listing(machine)["events"].clone()
}
