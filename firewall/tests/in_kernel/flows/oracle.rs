//! The states against those of conntrack: nftables counts the packets in by `ct state`, after the program, which
//! passes all of them.
//!
//! The rules must drop what they do not know, or else no answer would need a flow. So strangers, whose
//! packets are let in by their addresses, send what is no answer; that nothing is dropped is checked.
//!
//! The two agree for conversations that the host begins, and differ on purpose in what
//! [`the_declared_differences_are_these`] lists.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream, UdpSocket},
};

use benches::network::Link;
use nix::sys::socket::{setsockopt, sockopt};
use rules::packet::{
    Damage, Packet,
    tcp_flags::{ACK, FIN, PSH, RST, SYN, URG},
};
use rules_testing::Random;

use super::{Connection, Datagrams, Family, PORT, counted, ping, write};
use crate::{
    flows::routers::ip_in,
    interfaces::ip,
    machine::{Daemon, Machine, patience, wait_until},
    nftables::{nft, take},
};

/// The numbers of random scripts, and of their parts.
const SCRIPTS: u64 = 6;
const PARTS: usize = 80;

const STATES: [&str; 4] = ["new", "established", "related", "invalid"];
const UNTRACKED: &str = "untracked";

/// A port at which nobody answers.
const CLOSED: u16 = 9;

/// Packets in by their state.
type Counts = BTreeMap<String, u64>;

/// A machine that counts the states of packets in twice.
struct Oracle<'a> {
    machine: &'a Machine,
    theirs: Counts,
    _daemon: Daemon<'a>,
    strangers: u32,
}

impl<'a> Oracle<'a> {
    fn new(machine: &'a Machine) -> Self {
        let strangers = "[[rule]]\nname = \"strangers\"\naction = \"pass\"\n\
             src = [\"10.0.0.0/8\", \"2001:db8:ff::/48\"]\n\
             [[rule]]\nname = \"passed\"\naction = \"pass\"\nstate = \"invalid\"\n";
        let daemon = machine.apply(&write(machine, strangers));
        let link = machine.network.link();
        ip(
            machine,
            &format!("route add default via {}", link.peer.ipv4),
        );
        ip(
            machine,
            &format!("-6 route add default via {}", link.peer.ipv6),
        );
        // Nobody says that the strangers cannot be reached: that is about flows which they have begun.
        for words in [
            "-4 route add blackhole 10.0.0.0/8",
            "-6 route add blackhole 2001:db8:ff::/48",
        ] {
            ip_in(&machine.network.peer, words);
        }
        let device = &link.host.interface;
        // Segments that are put together would be fewer for nftables.
        let mut command = machine.command("ethtool");
        command.args(["-K", device, "gro", "off"]);
        let said = machine.finish(command);
        assert!(said.status.success(), "{said:?}");
        let names = STATES.into_iter().chain([UNTRACKED]);
        let counters: String = names
            .clone()
            .map(|name| format!("counter state_{name} {{ }}\n"))
            .collect();
        let rules: String = names
            .map(|name| format!("ct state {name} counter name state_{name}\n"))
            .collect();
        nft(
            &machine.network.host,
            &["-f", "-"],
            &format!(
                "table inet oracle {{\n{counters}chain received {{\n\
                 type filter hook prerouting priority 0; policy accept;\n\
                 iifname != \"{device}\" accept\n{rules}}}\n}}\n"
            ),
        );
        Self {
            machine,
            theirs: Counts::new(),
            _daemon: daemon,
            strangers: 0,
        }
    }

    fn ours(&self) -> Counts {
        let counters = self.machine.counters();
        assert_eq!(counters.get("policy"), None, "something is dropped");
        STATES
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), counters.get(name)?.0)))
            .collect()
    }

    /// What both have counted since the beginning, once both have seen the same packets.
    fn both(&mut self) -> (Counts, Counts) {
        let mut ours = Counts::new();
        wait_until("both have seen all packets", || {
            for (name, count) in take(&self.machine.network.host) {
                let name = name.strip_prefix("state_").unwrap().to_owned();
                *self.theirs.entry(name).or_default() += count;
            }
            ours = self.ours();
            ours.values().sum::<u64>() == self.theirs.values().sum::<u64>()
        });
        (ours, self.theirs.clone())
    }

    /// A packet from somebody who has not sent any yet.
    fn stranger(&mut self, family: Family) -> Packet {
        self.strangers += 1;
        family.stranger(self.machine.network.link(), self.strangers)
    }

    /// Has something random happen.
    fn happen(&mut self, random: &mut Random) {
        let machine = self.machine;
        let link = machine.network.link();
        let family = random.pick(Family::ALL);
        let port = u16::try_from(random.within(1_024, 60_000)).unwrap();
        let times = random.within(1, 3) as u64;
        match random.below(14) {
            0..3 => connection(machine, random, family),
            3..5 => {
                let datagrams = Datagrams::open(machine, link, family, PORT);
                for _ in 0..times {
                    let from = datagrams.asks();
                    for _ in 0..random.below(3) {
                        datagrams.answers(from);
                    }
                }
                if random.percent(50) {
                    let quoted = sent(family, link).udp(datagrams.port(), PORT);
                    machine.send(&unreachable(family, family.to_host(link), &quoted), times);
                }
            }
            5 => drop(ping(machine, link, family)),
            6 => {
                let to = SocketAddr::new(family.of(&link.peer), CLOSED);
                let connect = || TcpStream::connect_timeout(&to, patience());
                assert!(machine.network.host.run(connect).unwrap().is_err());
            }
            7 => {
                let bind = || UdpSocket::bind((family.any(), 0));
                let own = machine.network.host.run(bind).unwrap().unwrap();
                for _ in 0..times {
                    // What the one before has met is an error of the next one.
                    let _ = own.send_to(b"ask", (family.of(&link.peer), CLOSED));
                }
            }
            8 => drop(machine.send(&self.stranger(family).udp(port, CLOSED), times)),
            9 => {
                let flags = random.pick([SYN, ACK, ACK | PSH]);
                machine.send(&self.stranger(family).tcp(port, CLOSED, flags), times);
            }
            10 => {
                let request = self.stranger(family);
                machine.send(&family.echo(request, true), 1);
            }
            11 => {
                let flags = random.pick([0, FIN, FIN | PSH | URG, SYN | FIN, SYN | RST, PSH]);
                let packet = if random.percent(50) {
                    self.stranger(family)
                } else {
                    family.to_host(link)
                };
                machine.send(&packet.tcp(port, CLOSED, flags), times);
            }
            12 => {
                let quoted = sent(family, link).udp(port, CLOSED + 1);
                let packet = self.stranger(family);
                machine.send(&unreachable(family, packet, &quoted), times);
            }
            _ => drop(machine.send(&self.stranger(family).protocol(99).payload(&[0; 8]), times)),
        }
    }
}

/// A packet as the host has sent it to the peer.
fn sent(family: Family, link: &Link) -> Packet {
    Packet::ip(family.of(&link.host), family.of(&link.peer)).unwrap()
}

/// An error about a packet.
fn unreachable(family: Family, packet: Packet, about: &Packet) -> Packet {
    let packet = match family {
        Family::Ipv4 => packet.icmp(3, 3),
        Family::Ipv6 => packet.icmpv6(1, 4),
    };
    packet.payload(&about.build()[14..])
}

/// A connection that ends in one of the ways in which connections end.
fn connection(machine: &Machine, random: &mut Random, family: Family) {
    let mut connection = Connection::open(machine, machine.network.link(), family, PORT);
    for _ in 0..random.within(1, 4) {
        if random.percent(50) {
            connection.says();
        } else {
            connection.hears();
        }
    }
    let Connection { own, far } = connection;
    let (first, second) = if random.percent(50) {
        (own, far)
    } else {
        (far, own)
    };
    match random.below(3) {
        0 => {
            let linger = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&first, sockopt::Linger, &linger).unwrap();
        }
        1 => first.shutdown(std::net::Shutdown::Write).unwrap(),
        _ => {}
    }
    drop(first);
    // Whatever it meets there.
    let _ = std::io::Read::read(&mut &second, &mut [0]);
}

#[test]
#[ignore = "needs root"]
fn conversations_of_the_host_have_the_states_of_conntrack() {
    let mut met = Counts::new();
    for seed in 0..SCRIPTS {
        let machine = Machine::new();
        let mut oracle = Oracle::new(&machine);
        let mut random = Random::new(seed);
        for part in 0..PARTS {
            oracle.happen(&mut random);
            if part % 20 == 19 {
                let (ours, theirs) = oracle.both();
                assert_eq!(ours, theirs, "seed {seed}, after {part} parts");
            }
        }
        for (name, count) in oracle.both().0 {
            *met.entry(name).or_default() += count;
        }
    }
    println!("{met:?}");
    assert_eq!(met.len(), STATES.len(), "{met:?}");
    assert!(met.values().all(|count| *count > 50), "{met:?}");
}

#[test]
#[ignore = "needs root"]
fn the_declared_differences_are_these() {
    let machine = Machine::new();
    let link = machine.network.link();
    let mut oracle = Oracle::new(&machine);
    for family in Family::ALL {
        let mut connection = Connection::open(&machine, link, family, PORT);
        connection.goes_on();
        let answered = |packet: Packet| {
            let address = SocketAddr::new(family.of(&link.host), 8);
            let bind = || UdpSocket::bind(address);
            let server = machine.network.host.run(bind).unwrap().unwrap();
            server.set_read_timeout(Some(patience())).unwrap();
            machine.send(&packet, 1);
            let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
            server.send_to(b"answer", from).unwrap();
        };
        let solicitation = match family {
            Family::Ipv4 => (oracle.stranger(family).icmp(9, 0), "invalid"),
            Family::Ipv6 => (oracle.stranger(family).icmpv6(133, 0), UNTRACKED),
        };
        let from_outside = oracle.stranger(family).udp(7, 8);
        answered(from_outside.clone());
        let wrong = oracle.stranger(family).udp(1, 2).payload(&[1, 2]);
        let cases = [
            // Segments of no connection that do not open one either.
            (oracle.stranger(family).tcp(1, 2, RST), "new", "invalid"),
            (
                oracle.stranger(family).tcp(1, 2, SYN | ACK),
                "new",
                "invalid",
            ),
            (
                oracle.stranger(family).tcp(1, 2, FIN | ACK),
                "new",
                "invalid",
            ),
            // A reply that nobody has asked for, and messages that are no echo.
            (
                family.echo(oracle.stranger(family), false),
                "new",
                "invalid",
            ),
            (solicitation.0, "new", solicitation.1),
            // Checksums are not looked at. Nor are windows, but whether a number is within one is chance.
            (wrong.damage(Damage::UpperOctet(6, 0x55)), "new", "invalid"),
            // Who has begun a flow from outside stays new.
            (from_outside, "new", "established"),
        ];
        for (packet, ours, theirs) in cases {
            let before = oracle.both();
            machine.send(&packet, 1);
            let what = format!("{packet:?}");
            wait_until(&what, || {
                counted(&machine, ours) > before.0.get(ours).copied().unwrap_or(0)
            });
            let after = oracle.both();
            assert_eq!(one_more(&before.0, &after.0), ours, "{what}");
            assert_eq!(one_more(&before.1, &after.1), theirs, "{what}");
        }
    }
}

/// The only state that has counted a packet.
fn one_more(before: &Counts, after: &Counts) -> String {
    let mut more = after
        .iter()
        .filter(|(name, count)| before.get(*name).copied().unwrap_or(0) != **count);
    let (name, _) = more.next().unwrap();
    assert_eq!(more.next(), None);
    name.clone()
}
