//! Forged packets of every kind, from any sources, at a server that answers: none makes a flow, none takes one away.
//!
//! `FIREWALL_ROUNDS=<n>` sends n times as many.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use benches::{network::Link, traffic::Sender};
use rules::packet::{
    Fragment, Packet,
    tcp_flags::{ACK, FIN, PSH, RST, SYN, URG},
};
use rules_testing::Random;

use super::{Connection, Datagrams, Family, PORT, counted, events, flows, write};
use crate::{
    interfaces::ip,
    machine::{Machine, patience, rounds, wait_until},
};

/// The packets of a flood, in a round.
const FLOOD: u64 = 200_000;

/// Those who ask a name server, in a round; each asks twice.
const ASKERS: u32 = 25_000;

/// How many questions wait for the name server: fewer than the buffer of its socket has room for.
const WAITING: u64 = 64;

/// A TCP port that a server listens at, a port of both protocols without a server, and a UDP port that answers: rules
/// open all. Nothing opens the last one.
const OPEN: u16 = 8001;
const SILENT: u16 = 8002;
const ANSWERING: u16 = 8003;
const CLOSED: u16 = 9;

const NAMES: u16 = 53;

/// The length of an Ethernet header.
const ETHERNET: usize = 14;

const RULES: &str = r#"
[[rule]]
name = "open"
action = "pass"
proto = "tcp"
dport = [8001, 8002]
[[rule]]
name = "answering"
action = "pass"
proto = "udp"
dport = [8002, 8003]
[flows]
max = 1024
[flows.timeouts]
udp = "1h"
udp_answered = "1h"
"#;

/// How long a datagram is waited for that may have been lost in the flood.
const ATTEMPT: Duration = Duration::from_millis(100);

/// What a flood consists of.
#[derive(Clone, Copy, Debug)]
enum Forged {
    Syn,
    /// The same with another number.
    SecondSyn,
    /// A segment with other flags, those of forged proofs among them.
    Segment,
    Datagram,
    Echo,
    Error,
    Fragment,
    OtherProtocol,
}

impl Forged {
    const ALL: [Self; 10] = [
        Self::Syn,
        Self::SecondSyn,
        Self::Segment,
        Self::Datagram,
        Self::Segment,
        Self::Echo,
        Self::Segment,
        Self::Error,
        Self::Fragment,
        Self::OtherProtocol,
    ];
}

/// Makes forged packets.
struct Forger<'a> {
    link: &'a Link,
    random: Random,
    /// The ports that they go to, or are about.
    ports: Vec<u16>,
    /// A SYN that is to be sent again with another number.
    syn: Option<(Family, Vec<u8>)>,
}

impl Forger<'_> {
    /// A port of a client, or the one that the machine's own connections go to.
    fn port(&mut self) -> u16 {
        if self.random.percent(30) {
            PORT
        } else {
            self.random.within(1_024, 65_535) as u16
        }
    }

    /// A packet from anyone, or from the peer that connections exist with.
    fn begin(&mut self, family: Family) -> Packet {
        if self.random.percent(10) {
            family.to_host(self.link)
        } else {
            family.stranger(self.link, self.random.bits() as u32 & 0xff_ffff)
        }
    }

    fn frame(&mut self, kind: Forged) -> Vec<u8> {
        let family = self.random.pick(Family::ALL);
        let packet = self.begin(family);
        let (sport, bytes) = (self.port(), self.random.bits().to_ne_bytes());
        let dport = *self.random.element(&self.ports).unwrap();
        let random = &mut self.random;
        match kind {
            Forged::Syn => {
                let frame = packet.tcp(sport, dport, SYN).build();
                self.syn = Some((family, frame.clone()));
                numbered(frame, family, random)
            }
            Forged::SecondSyn => {
                let (family, frame) = self.syn.take().unwrap();
                numbered(frame, family, random)
            }
            Forged::Segment => {
                let flags = random.pick([
                    SYN | ACK,
                    PSH,
                    PSH | ACK,
                    FIN,
                    FIN | ACK,
                    ACK,
                    RST,
                    RST | ACK,
                    0,
                    SYN | FIN,
                    FIN | PSH | URG,
                ]);
                let packet = packet.tcp(sport, dport, flags);
                let packet = match flags & PSH {
                    0 => packet,
                    _ => packet.payload(&bytes),
                };
                numbered(packet.build(), family, random)
            }
            Forged::Datagram => packet.udp(sport, dport).payload(&bytes).build(),
            Forged::Echo => {
                let packet = family.echo(packet, random.percent(50));
                packet.payload(&bytes).build()
            }
            Forged::Error => self.error(family, packet).build(),
            Forged::Fragment => {
                let offset = random.pick([0, 0, 1, 185, 370]);
                let packet = packet.fragment(Fragment {
                    id: random.bits() as u32,
                    offset,
                    more: offset == 0 || random.percent(50),
                });
                let packet = if random.percent(50) {
                    packet.udp(sport, dport)
                } else {
                    packet.tcp(sport, dport, SYN)
                };
                packet.payload(&bytes).build()
            }
            Forged::OtherProtocol => {
                let number = random.pick([2, 4, 41, 47, 50, 89, 132, 253]);
                packet.protocol(number).payload(&bytes).build()
            }
        }
    }

    /// An error about something that the machine may have sent. Those about the datagrams that it does send
    /// are left out: it would believe them.
    fn error(&mut self, family: Family, packet: Packet) -> Packet {
        let (is_tcp, to) = (self.random.percent(50), self.port());
        let from = *self.random.element(&self.ports).unwrap();
        let about = Packet::ip(family.of(&self.link.host), family.of(&self.link.peer)).unwrap();
        let about = if is_tcp {
            numbered(about.tcp(from, to, ACK).build(), family, &mut self.random)
        } else {
            about.udp(from, to ^ 0x8000).build()
        };
        let (kind, code) = match family {
            Family::Ipv4 => self.random.pick([(3, 3), (3, 4), (11, 0), (12, 0)]),
            Family::Ipv6 => self.random.pick([(1, 4), (2, 0), (3, 0), (4, 0)]),
        };
        let packet = match family {
            Family::Ipv4 => packet.icmp(kind, code),
            Family::Ipv6 => packet.icmpv6(kind, code),
        };
        packet.payload(&about[ETHERNET..])
    }
}

/// Gives a TCP segment other numbers, and the checksum that this makes.
fn numbered(mut frame: Vec<u8>, family: Family, random: &mut Random) -> Vec<u8> {
    let tcp = ETHERNET
        + match family {
            Family::Ipv4 => 20,
            Family::Ipv6 => 40,
        };
    let word = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    // RFC 1624: HC' = ~(~HC + ~m + m').
    let mut sum = 0xffff ^ word(&frame[tcp + 16..]);
    for at in (tcp + 4..tcp + 12).step_by(2) {
        let new = random.bits() as u16;
        sum += (0xffff ^ word(&frame[at..])) + u32::from(new);
        frame[at..at + 2].copy_from_slice(&new.to_be_bytes());
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = 0xffff ^ sum as u16;
    frame[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Has the host answer strangers.
fn route_back(machine: &Machine, link: &Link) {
    let (ipv4, ipv6) = (link.peer.ipv4, link.peer.ipv6);
    ip(machine, &format!("route add default via {ipv4}"));
    ip(machine, &format!("-6 route add default via {ipv6}"));
}

/// Answers each datagram until it is to stop; how many it has answered is in `answered`.
fn answer(socket: &UdpSocket, stop: &AtomicBool, answered: &AtomicU64) {
    // Some of these are answered in fragments.
    let long = [1; 3_000];
    let mut buffer = [0; 64];
    socket.set_read_timeout(Some(ATTEMPT)).unwrap();
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((_, from)) => {
                let number = answered.fetch_add(1, Ordering::Relaxed);
                let length = if number % 16 == 15 { long.len() } else { 6 };
                // Nobody can be answered at port 0, or at some addresses.
                let _ = socket.send_to(&long[..length], from);
            }
            // Errors that others have sent about its answers, or nothing has come.
            Err(error) => drop(error),
        }
    }
}

/// Ends those who look at a flag, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The flows without their phases, which forged packets may change.
fn ends(machine: &Machine) -> Vec<(String, String, String)> {
    let flows = flows(machine).into_iter();
    flows
        .map(|(protocol, from, to, _)| (protocol, from, to))
        .collect()
}

/// Asks again and again until the answer comes: a flood fills queues.
fn insist(asking: &UdpSocket, mut answers: impl FnMut()) {
    asking.set_nonblocking(false).unwrap();
    asking.set_read_timeout(Some(ATTEMPT)).unwrap();
    wait_until("the answer has come", || {
        let _ = asking.send(b"ask");
        answers();
        match asking.recv(&mut [0; 8]) {
            Ok(length) => length == 6,
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::WouldBlock | ErrorKind::ConnectionRefused),
                    "{error}"
                );
                false
            }
        }
    });
}

/// A client connects, and is served.
fn visit(machine: &Machine, listener: &TcpListener) {
    let to = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&to, patience());
    let client = machine.network.peer.run(connect).unwrap().unwrap();
    let local = client.local_addr().unwrap();
    let served = loop {
        let (stream, from) = listener.accept().unwrap();
        if from == local {
            break stream;
        }
    };
    Connection::of(client, served).goes_on();
}

/// What goes on in a family while a flood arrives.
struct Legitimate {
    listener: TcpListener,
    connection: Connection,
    datagrams: Datagrams,
    /// A client of the UDP server.
    client: UdpSocket,
}

impl Legitimate {
    fn open(machine: &Machine, link: &Link, family: Family) -> Self {
        let network = &machine.network;
        let mut connection = Connection::open(machine, link, family, PORT);
        connection.goes_on();
        let datagrams = Datagrams::open(machine, link, family, PORT);
        datagrams.goes_on();
        datagrams.far.set_read_timeout(Some(ATTEMPT)).unwrap();
        let host = family.of(&link.host);
        let listener = network.host.run(|| TcpListener::bind((host, OPEN)));
        let client = network.peer.run(|| UdpSocket::bind((family.any(), 0)));
        let client = client.unwrap().unwrap();
        client.connect((host, ANSWERING)).unwrap();
        Self {
            listener: listener.unwrap().unwrap(),
            connection,
            datagrams,
            client,
        }
    }

    fn goes_on(&mut self, machine: &Machine) {
        visit(machine, &self.listener);
        self.connection.goes_on();
        let far = &self.datagrams.far;
        insist(&self.datagrams.own, || {
            if let Ok((_, from)) = far.recv_from(&mut [0; 8]) {
                far.send_to(b"answer", from).unwrap();
            }
        });
        insist(&self.client, || ());
    }
}

#[test]
#[ignore = "needs root"]
fn forged_packets_of_every_kind_make_no_flow_and_take_none_away() {
    let machine = Machine::new();
    let _daemon = machine.apply(&write(&machine, RULES));
    let link = machine.network.link();
    let network = &machine.network;
    route_back(&machine, link);
    let mut all = Family::ALL.map(|family| Legitimate::open(&machine, link, family));
    let servers = Family::ALL.map(|family| {
        let bind = || UdpSocket::bind((family.of(&link.host), ANSWERING));
        network.host.run(bind).unwrap().unwrap()
    });
    let (stop, is_over) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let answered = &AtomicU64::new(0);
    let flood = FLOOD * rounds();
    let mut forger = Forger {
        link,
        random: Random::new(1),
        ports: vec![OPEN, SILENT, ANSWERING, CLOSED],
        syn: None,
    };
    for one in &all {
        forger.ports.push(one.connection.port());
        forger.ports.push(one.datagrams.port());
    }
    let mut sender = Sender::open(&network.peer, &link.peer).unwrap();
    let before = (ends(&machine), events(&machine));
    let mut visits = 0;
    thread::scope(|scope| {
        let _stop = Stop(stop);
        for server in &servers {
            scope.spawn(|| answer(server, stop, answered));
        }
        let flooding = scope.spawn(|| {
            let _over = Stop(is_over);
            for kind in Forged::ALL.into_iter().cycle().take(flood as usize) {
                let frame = forger.frame(kind);
                sender.send(&frame).unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        while !is_over.load(Ordering::Relaxed) {
            for one in &mut all {
                one.goes_on(&machine);
            }
            visits += 1;
        }
        flooding.join().unwrap();
        for one in &mut all {
            one.goes_on(&machine);
        }
    });
    let states = ["new", "established", "related", "invalid"];
    wait_until("the flood has arrived", || {
        let of = |name: &&str| counted(&machine, name);
        let unreadable: u64 = ["malformed", "truncated"].iter().map(of).sum();
        states.iter().map(of).sum::<u64>() + unreadable >= flood
    });
    assert_eq!(events(&machine), before.1);
    assert_eq!(ends(&machine), before.0);
    assert_eq!(before.1["evicted_answered"], 0);
    for name in states.into_iter().chain(["open", "answering", "policy"]) {
        assert!(counted(&machine, name) > flood / 2_000, "{name}");
    }
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered > flood / 1_000, "{answered}");
    println!(
        "{flood} forged packets, {answered} datagrams answered, clients of each family connected {visits} times"
    );
    assert!(visits > 0);
}

#[test]
#[ignore = "needs root"]
fn what_a_name_server_answers_to_forged_askers_makes_no_flow() {
    let machine = Machine::new();
    let rules = "[[rule]]\nname = \"names\"\naction = \"pass\"\nproto = \"udp\"\ndport = 53\n\
                 [flows]\nmax = 1024\n";
    let _daemon = machine.apply(&write(&machine, rules));
    let link = machine.network.link();
    let network = &machine.network;
    route_back(&machine, link);
    let own = Datagrams::open(&machine, link, Family::Ipv4, PORT);
    own.goes_on();
    let before = (ends(&machine), events(&machine));
    let askers = ASKERS * rounds() as u32;
    let mut random = Random::new(2);
    for family in Family::ALL {
        let bind = || UdpSocket::bind(SocketAddr::new(family.of(&link.host), NAMES));
        let server = network.host.run(bind).unwrap().unwrap();
        let (stop, answered) = (&AtomicBool::new(false), &AtomicU64::new(0));
        let mut asked = 0;
        thread::scope(|scope| {
            let _stop = Stop(stop);
            scope.spawn(|| answer(&server, stop, answered));
            for number in 0..askers {
                let port = random.within(1_024, 65_535) as u16;
                let question = family.stranger(link, number).udp(port, NAMES);
                machine.send(&question.payload(b"ask"), 2);
                asked += 2;
                while asked - answered.load(Ordering::Relaxed) >= WAITING {
                    thread::yield_now();
                }
            }
            wait_until("all are answered", || {
                answered.load(Ordering::Relaxed) == asked
            });
        });
    }
    assert_eq!(events(&machine), before.1);
    assert_eq!(ends(&machine), before.0);
    machine.await_packets("names", u64::from(askers) * 4);
    own.goes_on();
}
