//! Packets out: the egress program against nftables at its output, forward and postrouting hooks, of a
//! router, with masquerading, and of a bridge. nftables counts and passes everything: both see the same
//! packets, and in both the same rules count.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use benches::{network::Link, traffic::Sender};
use nix::sys::socket::{setsockopt, sockopt};
use rules::packet::Packet;
use rules_testing::Random;

use super::{Counts, nft, take};
use crate::{
    interfaces::ip,
    machine::{Machine, wait_until},
};

/// The rule sets of each kind of network, the rules of each, and the packets for each.
const RULE_SETS: u64 = 12;
const RULES: usize = 12;
const PACKETS: usize = 150;

/// Ports and marks, few enough to be met often.
const PORTS: [u16; 3] = [7, 8, 9];
const MARKS: [u32; 3] = [0, 7, 0x100];

/// What hosts send unasked, when they like: solicitations, advertisements, reports of multicast listeners.
const UNASKED: &str = "{ 130-137, 143 }";
const OURS_UNASKED: &str = "[[rule]]\nname = \"unasked\"\naction = \"pass\"\ndirection = \"out\"\n\
                            family = \"ipv6\"\nicmp_type = [\"130-137\", 143]\n";

/// What joins the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Router,
    /// A router that gives packets by the last link its own address.
    Masquerade,
    Bridge,
}

#[test]
#[ignore = "needs root"]
fn packets_of_a_router_are_counted_alike() {
    compare(Kind::Router);
}

#[test]
#[ignore = "needs root"]
fn packets_are_counted_alike_after_masquerading() {
    compare(Kind::Masquerade);
}

#[test]
#[ignore = "needs root"]
fn packets_of_a_bridge_are_counted_alike() {
    compare(Kind::Bridge);
}

fn compare(kind: Kind) {
    let machine = Machine::with_links(3);
    let links = machine.network.links();
    prepare(&machine, kind);
    let file = write(&machine, "pass", "");
    let _daemon = machine.apply(&file);
    let mut senders: Vec<Sender> = links
        .iter()
        .map(|link| Sender::open(&machine.network.peer, &link.peer).unwrap())
        .collect();
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..RULE_SETS {
        let mut random = Random::new(seed);
        let rules: Vec<Rule> = (0..RULES)
            .map(|_| Rule::new(&mut random, kind, links))
            .collect();
        let policy = random.pick(["pass", "drop"]);
        let text: String = (0..)
            .zip(&rules)
            .map(|(number, rule)| rule.ours(&name(seed, number)))
            .collect();
        write(&machine, policy, &(OURS_UNASKED.to_owned() + &text));
        let reload = machine.run(["reload"]);
        assert!(reload.status.success(), "{reload:?}\n{text}");
        let script = script(kind, seed, &rules, links);
        nft(&machine.network.host, &["-f", "-"], &script);
        take(&machine.network.host);
        take(&machine.network.peer);
        for _ in 0..PACKETS {
            send(&machine, &mut random, kind, &mut senders);
        }
        let mut theirs = Counts::new();
        wait_until("every packet has reached nftables", || {
            for (name, count) in take(&machine.network.host) {
                *theirs.entry(name).or_default() += count;
            }
            theirs.get("total") == Some(&(PACKETS as u64))
        });
        let ours = machine.counters();
        for (number, rule) in (0..).zip(&rules) {
            let name = name(seed, number);
            let count = ours.get(&name).map_or(0, |count| count.0);
            let expected = theirs.get(&name).copied().unwrap_or(0);
            assert_eq!(
                count,
                expected,
                "{kind:?}, seed {seed}: {}\n{script}",
                rule.ours(&name)
            );
            *met.entry(rule.action).or_default() += count;
        }
        let decided = |action: &str| -> u64 {
            let numbered = (0..).zip(&rules).filter(|(_, rule)| rule.action == action);
            numbered
                .map(|(number, _)| theirs.get(&name(seed, number)).copied().unwrap_or(0))
                .sum()
        };
        let by_policy = PACKETS as u64 - decided("pass") - decided("drop");
        let expected = decided("pass") + if policy == "pass" { by_policy } else { 0 };
        let mut arrived = 0;
        wait_until("what is passed has arrived", || {
            let counts = take(&machine.network.peer);
            arrived += counts.get("arrived").copied().unwrap_or(0);
            arrived >= expected
        });
        assert_eq!(arrived, expected, "{kind:?}, seed {seed}\n{script}");
        *met.entry("policy").or_default() += by_policy;
        nft(&machine.network.host, &["flush", "ruleset"], "");
    }
    assert!(
        met.len() == 4 && met.values().all(|count| *count > 50),
        "{met:?}"
    );
}

fn name(seed: u64, number: usize) -> String {
    format!("rule_{seed}_{number}")
}

fn write(machine: &Machine, policy: &str, rules: &str) -> std::path::PathBuf {
    let links = machine.network.links().iter();
    let names: Vec<String> = links
        .map(|link| format!("\"{}\"", link.host.interface))
        .collect();
    let names = names.join(", ");
    machine.write_file(&format!(
        "[firewall]\ninterfaces = [{names}]\npolicy_out = \"{policy}\"\n{rules}"
    ))
}

/// Has the host forward, and the peer answer nothing.
fn prepare(machine: &Machine, kind: Kind) {
    fn forwarding() -> std::io::Result<()> {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
    }
    let network = &machine.network;
    network.host.run(forwarding).unwrap().unwrap();
    let chains = network.links().iter().enumerate().map(|(number, link)| {
        let device = &link.peer.interface;
        format!(
            "chain in{number} {{ type filter hook ingress device \"{device}\" priority 0; policy drop;\n\
             icmpv6 type {UNASKED} drop\nmeta protocol {{ ip, ip6 }} counter name arrived drop\n}}\n"
        )
    });
    let quiet = format!(
        "table netdev quiet {{\ncounter arrived {{ }}\n{}}}\n",
        chains.collect::<String>()
    );
    nft(&network.peer, &["-f", "-"], &quiet);
    if kind != Kind::Bridge {
        return;
    }
    ip(machine, "link add fwbr type bridge mcast_snooping 0");
    network
        .host
        .run(|| fs::write("/proc/sys/net/ipv6/conf/fwbr/disable_ipv6", "1"))
        .unwrap()
        .unwrap();
    ip(machine, "link set fwbr up");
    for link in network.links() {
        let port = &link.host.interface;
        ip(machine, &format!("link set {port} master fwbr"));
        let mut command = machine.command("bridge");
        command.args(["fdb", "add", &link.peer.mac.to_string()]);
        command.args(["dev", port, "master", "static"]);
        let said = machine.finish(command);
        assert!(said.status.success(), "{said:?}");
    }
}

/// A rule in both languages.
struct Rule {
    action: &'static str,
    /// The conditions, as lines of a rule file.
    ours: String,
    /// The same for nft.
    theirs: String,
    /// Whether packets of the host can match, and forwarded ones.
    own: bool,
    forwarded: bool,
}

impl Rule {
    fn new(random: &mut Random, kind: Kind, links: &[Link]) -> Self {
        let mut rule = Self {
            action: random.pick(["pass", "drop", "count", "count"]),
            ours: String::new(),
            theirs: String::new(),
            own: true,
            forwarded: true,
        };
        let link = |random: &mut Random| &links[random.below(links.len())];
        if random.percent(40) {
            let interface = &link(random).host.interface;
            let (mark, word) = negation(random);
            rule.add(
                &format!("interface = \"{mark}{interface}\""),
                &format!("oifname {word}\"{interface}\""),
            );
        }
        if random.percent(40) {
            let interface = &link(random).host.interface;
            let (mark, word) = negation(random);
            rule.add(
                &format!("in_interface = \"{mark}{interface}\""),
                &format!("iifname {word}\"{interface}\""),
            );
            rule.own = false;
        } else if random.percent(30) {
            let is_forwarded = random.percent(50);
            rule.add(&format!("forwarded = {is_forwarded}"), "");
            (rule.own, rule.forwarded) = (!is_forwarded, is_forwarded);
        }
        if random.percent(25) {
            let number = random.pick(MARKS);
            let (mark, word) = negation(random);
            rule.add(
                &format!("mark = \"{mark}{number}\""),
                &format!("meta mark {word}{number}"),
            );
        }
        if random.percent(50) {
            let end = link(random);
            let side = random.pick(["src", "dst"]);
            // After masquerading the source is the host.
            let end = if side == "src" && kind == Kind::Masquerade {
                &end.host
            } else {
                &end.peer
            };
            let (mark, word) = negation(random);
            let (family, address) = if random.percent(50) {
                ("ip", IpAddr::from(end.ipv4))
            } else {
                ("ip6", IpAddr::from(end.ipv6))
            };
            rule.add(
                &format!("{side} = \"{mark}{address}\"\nfamily = \"{}\"", of(family)),
                &format!("{family} {}addr {word}{address}", &side[..1]),
            );
        }
        if random.percent(60) {
            let protocol = random.pick(["udp", "tcp"]);
            let port = random.pick(PORTS);
            rule.add(
                &format!("proto = \"{protocol}\"\ndport = {port}"),
                &format!("{protocol} dport {port}"),
            );
        }
        rule
    }

    fn add(&mut self, ours: &str, theirs: &str) {
        let _ = writeln!(self.ours, "{ours}");
        let _ = write!(self.theirs, "{theirs} ");
    }

    fn ours(&self, name: &str) -> String {
        let Self { action, ours, .. } = self;
        format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\ndirection = \"out\"\n{ours}")
    }

    /// The rule of nft, which passes what is decided.
    fn theirs(&self, name: &str, beginning: &str) -> String {
        let end = if self.action == "count" { "" } else { "accept" };
        format!("{beginning}{}counter name {name} {end}\n", self.theirs)
    }
}

fn negation(random: &mut Random) -> (&'static str, &'static str) {
    if random.percent(25) {
        ("!", "!= ")
    } else {
        ("", "")
    }
}

fn of(family: &str) -> &'static str {
    if family == "ip" { "ipv4" } else { "ipv6" }
}

/// The script for nft.
fn script(kind: Kind, seed: u64, rules: &[Rule], links: &[Link]) -> String {
    let names = (0..rules.len()).map(|number| name(seed, number));
    let counters: String = names
        .chain(["total".to_owned()])
        .map(|name| format!("counter {name} {{ }}\n"))
        .collect();
    let numbered = || (0..).zip(rules);
    let chain = |beginning: &str, is_of: &dyn Fn(&Rule) -> bool| -> String {
        let rules = numbered().filter(|(_, rule)| is_of(rule));
        rules
            .map(|(number, rule)| rule.theirs(&name(seed, number), beginning))
            .collect()
    };
    let all = links
        .iter()
        .map(|link| format!("\"{}\"", link.host.interface));
    let all = all.collect::<Vec<_>>().join(", ");
    let marks = format!(
        "chain marks {{ type filter hook prerouting priority -300; udp dport {} meta mark set {}; }}\n",
        PORTS[0], MARKS[1]
    );
    let count =
        format!("icmpv6 type {UNASKED} accept\nmeta protocol {{ ip, ip6 }} counter name total\n");
    match kind {
        Kind::Router => format!(
            "table inet oracle {{\n{counters}{marks}\
             chain own {{ type filter hook output priority 0;\n{count}{}}}\n\
             chain forwarded {{ type filter hook forward priority 0;\n{count}{}}}\n}}\n",
            chain("", &|rule| rule.own),
            chain("", &|rule| rule.forwarded),
        ),
        Kind::Masquerade => {
            let last = links.last().map(|link| &link.host.interface).unwrap();
            let rules: String = numbered()
                .map(|(number, rule)| {
                    let beginning = match (rule.own, rule.forwarded) {
                        (true, false) => format!("iifname != {{ {all} }} "),
                        (false, _) => format!("iifname {{ {all} }} "),
                        (true, true) => String::new(),
                    };
                    rule.theirs(&name(seed, number), &beginning)
                })
                .collect();
            format!(
                "table inet oracle {{\n{counters}{marks}\
                 chain nat {{ type nat hook postrouting priority 100; oifname \"{last}\" masquerade; }}\n\
                 chain sent {{ type filter hook postrouting priority 200;\n{count}{rules}}}\n}}\n"
            )
        }
        Kind::Bridge => format!(
            "table bridge oracle {{\n{counters}{marks}\
             chain forwarded {{ type filter hook forward priority 0;\n{count}{}}}\n}}\n",
            chain("", &|rule| rule.forwarded),
        ),
    }
}

/// Has a packet leave the host: one that it forwards from a link to another, or its own.
fn send(machine: &Machine, random: &mut Random, kind: Kind, senders: &mut [Sender]) {
    let links = machine.network.links();
    let from = random.below(links.len());
    let to = (from + 1 + random.below(links.len() - 1)) % links.len();
    let (source, target) = (&links[from], &links[to]);
    let port = random.pick(PORTS);
    let is_ipv6 = random.percent(40);
    if kind != Kind::Bridge && random.percent(35) {
        let address: IpAddr = if is_ipv6 {
            target.peer.ipv6.into()
        } else {
            target.peer.ipv4.into()
        };
        let mark = random.pick(MARKS);
        return machine
            .network
            .host
            .run(|| send_own(SocketAddr::new(address, port), mark))
            .unwrap();
    }
    let mac = match kind {
        Kind::Router | Kind::Masquerade => source.host.mac,
        Kind::Bridge => target.peer.mac,
    };
    let packet = if is_ipv6 {
        Packet::ipv6(source.peer.ipv6, target.peer.ipv6)
    } else {
        Packet::ipv4(source.peer.ipv4, target.peer.ipv4)
    };
    let sport = u16::try_from(random.within(1024, 60_000)).unwrap();
    let packet = match random.below(3) {
        0 => packet.udp(sport, port),
        1 => packet.tcp(sport, port, 2),
        _ if is_ipv6 => packet.icmpv6(128, 0),
        _ => packet.icmp(8, 0),
    };
    let frame = packet.macs(source.peer.mac, mac).build();
    senders[from].send(&frame).unwrap();
}

fn send_own(to: SocketAddr, mark: u32) {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    setsockopt(&socket, sockopt::Mark, &mark).unwrap();
    // A packet that is dropped is an error for its sender.
    let _ = socket.send_to(&[0; 16], to);
}
