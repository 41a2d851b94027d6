//! A day of a machine with a server far away: whatever happens to rules and daemons, everything that the machine begins
//! goes on, as does what rules let in, and only what is foreign is dropped.
//!
//! `FIREWALL_ROUNDS=<n>` reloads n times as often.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd as _, AsRawFd as _},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use aya::maps::{Array, Map, MapData};
use benches::network::{Link, Namespace};
use firewall_ebpf::flows::{FINE_UNIT, SETTINGS_WORDS, Settings};
use nix::sys::socket::{setsockopt, sockopt};
use rules::packet::tcp_flags::{ACK, PSH, SYN};
use rules_testing::Random;

use super::{Connection, Datagrams, Family, counted, routers::ip_in, write};
use crate::machine::{Daemon, Machine, patience, rounds, wait_until};

/// What a transfer carries.
const MUCH: usize = 4 << 20;

/// The reloads of a round.
const RELOADS: u64 = 20;

/// How long an answer is waited for before the question is asked again.
const ATTEMPT: Duration = Duration::from_millis(300);

/// The narrow hop's MTU.
const NARROW: u32 = 1_280;

/// The ports of a session, of a service that rules let in, and of servers far away.
const SSH: u16 = 22;
const WEB: u16 = 8001;
const NAMES: u16 = 53;
const TIME: u16 = 123;
const QUIC: u16 = 443;
const TRACE: u16 = 33_434;

/// What others may begin; routers say on their links which groups they listen to.
const RULES: &str = r#"
[[rule]]
name = "listeners"
action = "pass"
family = "ipv6"
icmp_type = ["130-132", 143]
[[rule]]
name = "ssh and web"
action = "pass"
proto = "tcp"
dport = [22, 8001]
"#;

/// Rules that need another program and more counters.
const MORE: &str = r#"
[[rule]]
name = "more"
action = "count"
proto = "tcp"
ttl = 1
vlan = 7
length = 100
"#;

/// The machine, and a path of routers to a server: the hop between the two routers is narrow.
///
/// The namespace of the machine's peer is the first router.
struct Path {
    machine: Machine,
    _second: Namespace,
    server: Namespace,
    /// Where the server is.
    ipv4: IpAddr,
    ipv6: IpAddr,
}

/// The path of a namespace for `ip`.
fn path_of(namespace: &Namespace) -> String {
    let process = std::process::id();
    format!("/proc/{process}/fd/{}", namespace.as_fd().as_raw_fd())
}

/// Has a namespace forward, and send every error that there is to send.
const FORWARDING: [(&str, &str); 4] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/icmp/ratelimit", "0"),
];

/// Has a namespace believe errors alone about how narrow a path is.
const BELIEVING: [(&str, &str); 1] = [("ipv4/tcp_mtu_probing", "0")];

/// Changes settings of the kernel for a namespace.
fn set(namespace: &Namespace, settings: &[(&str, &str)]) {
    let write = || {
        settings
            .iter()
            .try_for_each(|(name, value)| fs::write(format!("/proc/sys/net/{name}"), value))
    };
    namespace.run(write).unwrap().unwrap();
}

impl Path {
    fn new() -> Self {
        let machine = Machine::new();
        let (second, server) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        let link = machine.network.link().clone();
        let (host, first) = (&machine.network.host, &machine.network.peer);
        set(host, &BELIEVING);
        for router in [first, &second, &server] {
            set(router, &FORWARDING);
        }
        let join = |one: &Namespace, other: &Namespace, number: u8, mtu: u32| {
            let place = path_of(other);
            let (near, far) = (format!("near{number}"), format!("far{number}"));
            ip_in(
                one,
                &format!("link add {near} type veth peer name {far} netns {place}"),
            );
            for (namespace, end, of) in [(one, near, 1), (other, far, 2)] {
                for words in [
                    format!("address add 198.18.{number}.{of}/24 dev {end}"),
                    format!("address add 2001:db8:9{number}::{of}/64 dev {end} nodad"),
                    format!("link set {end} mtu {mtu} up"),
                ] {
                    ip_in(namespace, &words);
                }
            }
        };
        join(first, &second, 1, NARROW);
        join(&second, &server, 2, 1_500);
        for (namespace, ipv4, ipv6) in [
            (host, link.peer.ipv4.to_string(), link.peer.ipv6.to_string()),
            (first, "198.18.1.2".to_owned(), "2001:db8:91::2".to_owned()),
            (
                &second,
                "198.18.1.1".to_owned(),
                "2001:db8:91::1".to_owned(),
            ),
            (
                &server,
                "198.18.2.1".to_owned(),
                "2001:db8:92::1".to_owned(),
            ),
        ] {
            ip_in(namespace, &format!("route add default via {ipv4}"));
            ip_in(namespace, &format!("-6 route add default via {ipv6}"));
        }
        Self {
            machine,
            _second: second,
            server,
            ipv4: [198, 18, 2, 2].into(),
            ipv6: "2001:db8:92::2".parse().unwrap(),
        }
    }

    fn link(&self) -> &Link {
        self.machine.network.link()
    }

    fn host(&self) -> &Namespace {
        &self.machine.network.host
    }

    /// The address of the server.
    fn server(&self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }

    /// A connection that the host begins.
    fn to_server(&self, family: Family, port: u16) -> Connection {
        let to = SocketAddr::new(self.server(family), port);
        Connection::between(self.host(), &self.server, to)
    }

    /// A connection that rules let in.
    fn to_host(&self, family: Family, port: u16) -> Connection {
        let to = SocketAddr::new(family.of(&self.link().host), port);
        let Connection { own, far } = Connection::between(&self.server, self.host(), to);
        Connection { own: far, far: own }
    }

    /// Whether the host knows how narrow the path is.
    fn is_known_to_be_narrow(&self, family: Family) -> bool {
        let mut command = self.machine.command("ip");
        command.args(["route", "get", &self.server(family).to_string()]);
        let said = self.machine.finish(command);
        assert!(said.status.success(), "{said:?}");
        said.stdout.contains(&format!("mtu {NARROW}"))
    }

    fn forget_routes(&self) {
        // The server announces what it knows in its segments' maximum size.
        for namespace in [self.host(), &self.server] {
            ip_in(namespace, "route flush cache");
            ip_in(namespace, "-6 route flush cache");
        }
        for family in Family::ALL {
            assert!(!self.is_known_to_be_narrow(family));
        }
    }

    /// What is foreign to the host; how many packets that is.
    fn intrude(&self) -> u64 {
        let mut sent = 0;
        for (number, family) in (0..).zip(Family::ALL) {
            let link = self.link();
            for packet in [
                family.stranger(link, number).tcp(40_000, 23, SYN),
                family.stranger(link, number).tcp(SSH, 40_000, SYN | ACK),
                family.stranger(link, number).tcp(QUIC, 40_000, PSH | ACK),
                family.stranger(link, number).udp(NAMES, 40_000),
                family.echo(family.to_host(link), true),
                family.echo(family.to_host(link), false),
                family.to_host(link).protocol(47),
            ] {
                self.machine.send(&packet, 1);
                sent += 1;
            }
        }
        sent
    }
}

/// Sends much from one end to the other, where it arrives as it was.
fn transfer(from: &mut TcpStream, to: &mut TcpStream, seed: u64, length: usize) {
    let mut random = Random::new(seed);
    let words = (0..length / 8).map(|_| random.bits().to_ne_bytes());
    let sent: Vec<u8> = words.flatten().collect();
    let mut received = vec![0; sent.len()];
    thread::scope(|scope| {
        scope.spawn(|| to.read_exact(&mut received).unwrap());
        from.set_write_timeout(Some(patience())).unwrap();
        from.write_all(&sent).unwrap();
    });
    assert!(sent == received, "other bytes have arrived");
}

/// Both directions of a connection carry much.
fn transfers(mut connection: Connection) {
    let Connection { own, far } = &mut connection;
    transfer(own, far, 1, MUCH);
    transfer(far, own, 2, MUCH);
    connection.goes_on();
}

/// Asks by UDP until an error comes back; which one.
fn trace(path: &Path, family: Family, hops: u32) -> ErrorKind {
    let bind = || UdpSocket::bind((family.any(), 0));
    let socket = path.host().run(bind).unwrap().unwrap();
    socket.set_read_timeout(Some(ATTEMPT)).unwrap();
    match family {
        Family::Ipv4 => {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true).unwrap();
            setsockopt(&socket, sockopt::Ipv4Ttl, &(hops as i32)).unwrap();
        }
        Family::Ipv6 => {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true).unwrap();
            setsockopt(&socket, sockopt::Ipv6Ttl, &(hops as i32)).unwrap();
        }
    }
    socket
        .connect((path.server(family), TRACE + hops as u16))
        .unwrap();
    let mut met = None;
    wait_until("an error has come back", || {
        // The error of the last attempt may be that of this one.
        let sent = socket.send(b"trace").err();
        let kind = sent.or_else(|| socket.recv(&mut [0; 8]).err());
        met = kind.map(|error| error.kind());
        met.is_some_and(|kind| kind != ErrorKind::WouldBlock)
    });
    met.unwrap()
}

/// What a machine does all day.
fn usual(path: &Path) {
    let machine = &path.machine;
    for family in Family::ALL {
        let to = |port| SocketAddr::new(path.server(family), port);
        // Names: each question from another port.
        for _ in 0..20 {
            Datagrams::between(path.host(), &path.server, to(NAMES)).goes_on();
        }
        // Time: from its own port.
        let server = path.server.run(|| UdpSocket::bind(to(TIME)));
        let server = server.unwrap().unwrap();
        let own = path.host().run(|| UdpSocket::bind((family.any(), TIME)));
        let own = own.unwrap().unwrap();
        for socket in [&own, &server] {
            socket.set_read_timeout(Some(patience())).unwrap();
        }
        for _ in 0..3 {
            own.send_to(&[0x23; 48], to(TIME)).unwrap();
            let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
            assert_eq!(from.port(), TIME);
            server.send_to(&[0x24; 48], from).unwrap();
            assert_eq!(own.recv(&mut [0; 64]).unwrap(), 48);
        }
        super::ping(machine, path.link(), family);
        // A route: a router each, then the server, which has no such port.
        let hops = [1, 2, 3].map(|hops| trace(path, family, hops));
        let refused = ErrorKind::ConnectionRefused;
        let unreachable = ErrorKind::HostUnreachable;
        assert_eq!(hops, [unreachable, unreachable, refused], "{family:?}");
        transfers(path.to_server(family, QUIC));
        transfers(path.to_host(family, WEB));
    }
}

fn rules(path: &Path, more: &str) -> PathBuf {
    write(&path.machine, &format!("{RULES}{more}"))
}

/// What is dropped is foreign.
fn assert_only_foreign(path: &Path, foreign: u64) {
    let machine = &path.machine;
    wait_until("all that is foreign is dropped", || {
        counted(machine, "policy") >= foreign
    });
    assert_eq!(
        counted(machine, "policy"),
        foreign,
        "{:?}",
        machine.counters()
    );
    let known = [
        "new",
        "established",
        "related",
        "invalid",
        "replies",
        "listeners",
        "ssh and web",
        "policy",
    ];
    for name in super::counting(machine) {
        assert!(known.contains(&name.as_str()), "`{name}` has counted");
    }
}

#[test]
#[ignore = "needs root"]
fn the_mtu_of_a_path_is_found_for_what_the_machine_begins_and_for_what_rules_let_in() {
    let path = Path::new();
    let _daemon = path.machine.apply(&rules(&path, ""));
    for family in Family::ALL {
        for is_let_in in [false, true] {
            path.forget_routes();
            transfers(if is_let_in {
                path.to_host(family, WEB)
            } else {
                path.to_server(family, QUIC)
            });
            assert!(path.is_known_to_be_narrow(family), "{family:?} {is_let_in}");
        }
    }
    assert_only_foreign(&path, 0);
}

/// Ends those who look at a flag, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sessions that talk, and one that carries much, while `work` is done.
fn while_talking(sessions: &mut [Connection], bulk: &mut Connection, work: impl FnOnce()) {
    let stop = &AtomicBool::new(false);
    let said = &AtomicU64::new(0);
    thread::scope(|scope| {
        let _stop = Stop(stop);
        for session in &mut *sessions {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    session.goes_on();
                    said.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        scope.spawn(move || {
            let Connection { own, far } = bulk;
            let mut seed = 0;
            while !stop.load(Ordering::Relaxed) {
                transfer(own, far, seed, MUCH / 16);
                transfer(far, own, seed, MUCH / 16);
                seed += 1;
            }
            said.fetch_add(seed, Ordering::Relaxed);
        });
        work();
    });
    println!("{} exchanges", said.load(Ordering::Relaxed));
    for session in sessions {
        session.goes_on();
    }
}

fn succeed(machine: &Machine, arguments: &[&str]) {
    let said = machine.run(arguments);
    assert!(said.status.success(), "{arguments:?}: {said:?}");
}

/// Moves the clock of the table ahead.
fn age(machine: &Machine, time: Duration) {
    let pinned = MapData::from_pin(machine.pins().join("flow-settings")).unwrap();
    let mut settings: Array<_, [u64; SETTINGS_WORDS]> =
        Array::try_from(Map::Array(pinned)).unwrap();
    let mut words = settings.get(&0, 0).unwrap();
    words[Settings::LATER] += time.as_secs() / u64::from(FINE_UNIT);
    settings.set(0, words, 0).unwrap();
}

#[test]
#[ignore = "needs root"]
fn a_day_of_a_machine_goes_by_and_only_what_is_foreign_is_dropped() {
    let path = Path::new();
    let machine = &path.machine;
    let file = rules(&path, "");
    let daemon = Mutex::new(Some(machine.apply(&file)));
    let kill = || daemon.lock().unwrap().take().map(Daemon::kill).unwrap();
    let start = || *daemon.lock().unwrap() = Some(machine.apply(&file));
    let mut sessions = Vec::new();
    for family in Family::ALL {
        sessions.push(path.to_server(family, SSH));
        sessions.push(path.to_host(family, SSH));
    }
    let mut bulk = path.to_server(Family::Ipv4, WEB);
    let mut foreign = 0;
    while_talking(&mut sessions, &mut bulk, || {
        usual(&path);
        foreign += path.intrude();
        assert_only_foreign(&path, foreign);

        let program = machine.attached();
        for number in 0..RELOADS * rounds() {
            let more = if number.is_multiple_of(2) { MORE } else { "" };
            rules(&path, more);
            succeed(machine, &["reload"]);
            if number == 0 {
                assert_ne!(machine.attached(), program, "another program is loaded");
            }
        }
        foreign += path.intrude();
        assert_only_foreign(&path, foreign);
        succeed(machine, &["rollback"]);
        usual(&path);

        // Nobody is there for a while.
        kill();
        usual(&path);
        foreign += path.intrude();
        start();
        assert_only_foreign(&path, foreign);
        rules(&path, "[flows]\nmax = 16384\n");
        succeed(machine, &["apply", file.to_str().unwrap()]);
        usual(&path);
        succeed(machine, &["rollback"]);
        foreign += path.intrude();
        assert_only_foreign(&path, foreign);
    });
    // Long silences, which the other end breaks.
    kill();
    let quic = Family::ALL.map(|family| {
        let to = SocketAddr::new(path.server(family), QUIC);
        let talk = Datagrams::between(path.host(), &path.server, to);
        talk.goes_on();
        let from = talk.asks();
        (talk, from)
    });
    age(machine, Duration::from_secs(110));
    for (talk, from) in &quic {
        talk.answers(*from);
        wait_until("the answer has come", || talk.has_heard());
    }
    age(machine, Duration::from_secs(23 * 3_600));
    for session in &mut sessions {
        session.hears();
        session.goes_on();
    }
    assert_only_foreign(&path, foreign);
    // By then datagrams are foreign.
    for (talk, from) in &quic {
        talk.answers(*from);
        foreign += 1;
    }
    assert_only_foreign(&path, foreign);
}
