//! What it costs that rules ask for the states of packets: packets of known flows, of none, a flood of SYNs,
//! packets that go out, and memory.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use firewall_ebpf::flows::LINE_SLOTS;
use serde::{Deserialize, Serialize};

use super::{
    clock::Clock,
    driver::{Driver, Reading},
    egress::SendingHost,
    site::Site,
    statistics::Spread,
    testbed::Testbed,
    tool,
};
use crate::{packet::protocol, tuple::Tuple};

/// The number of packets sent at once.
const AT_ONCE: u32 = 20_000;

/// The number of packets that come before these, of the same kind: what others have left in the caches is not what a flow finds
/// there in lasting traffic.
const BEFORE: u32 = 30_000;

/// Likewise of flows that fit into caches all together.
const FLOWS_BEFORE: u32 = 100_000;

/// The number of packets out at once.
const OUT_AT_ONCE: usize = 5_000;

/// The flows and the slots of the tables.
const TABLES: [(u32, u32); 3] = [(1_000, 1 << 16), (100_000, 1 << 20), (1_000_000, 1 << 21)];

/// The most flows with which others are measured: connection tracking has a limit for the whole machine.
const MOST_TRACKED: u32 = 100_000;

/// The port that others answer from.
const REMOTE_PORT: u16 = 53;

/// The port that a flood is aimed at.
const OPEN_PORT: u16 = 80;

/// What packets in are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arriving {
    /// Answers of known flows, each in turn.
    Hits,
    /// Packets of no flow, each from another source.
    Misses,
    /// SYNs to a port for which there is a rule, each from another source.
    Syns,
}

impl Arriving {
    /// All.
    pub const ALL: [Self; 3] = [Self::Hits, Self::Misses, Self::Syns];
}

impl fmt::Display for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hits => "answer of a known flow",
            Self::Misses => "packet of no flow",
            Self::Syns => "SYN of a flood",
        })
    }
}

/// What a packet out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaving {
    /// One that no program sees.
    Unseen,
    /// One that begins a flow.
    Begins,
    /// One of a known flow.
    Known,
}

impl fmt::Display for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unseen => "no program",
            Self::Begins => "begins a flow",
            Self::Known => "of a known flow",
        })
    }
}

/// The cost of states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateCost {
    /// The number of distinct packets of no flow, and of SYNs.
    pub packets: usize,
    /// Packets in.
    pub arriving: Vec<ArrivingRow>,
    /// Packets out.
    pub leaving: Vec<LeavingRow>,
    /// The bytes of a slot, and those of the addresses of an IPv6 flow.
    pub slot_bytes: f64,
    /// See [`Self::slot_bytes`].
    pub ipv6_bytes: f64,
    /// Who was not measured, and why.
    pub absent: Vec<String>,
}

/// The cost of a packet in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrivingRow {
    /// Who filters.
    pub name: String,
    /// The number of flows.
    pub flows: u32,
    /// The number of slots of the table of `firewall`.
    pub slots: u32,
    /// What the packets are.
    pub arriving: Arriving,
    /// The CPU time without states, in nanoseconds.
    pub without: Spread,
    /// The time with states.
    pub with: Spread,
    /// The difference within each round.
    pub more: Spread,
    /// What the memory alone takes that must be read: see [`Reading`]. Of `firewall` only.
    #[serde(default)]
    pub memory: Option<Spread>,
}

/// The cost of a packet out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeavingRow {
    /// What it is.
    pub leaving: Leaving,
    /// The CPU time, in nanoseconds.
    pub nanoseconds: Spread,
    /// The difference to the time without a program, within each round.
    pub more: Spread,
}

impl StateCost {
    /// How much more a packet in takes `firewall` with a table of so many slots.
    #[must_use]
    pub fn more(&self, arriving: Arriving, slots: u32) -> Option<f64> {
        let mut rows = self.arriving.iter();
        let row =
            rows.find(|row| row.name == OWN && row.arriving == arriving && row.slots == slots);
        row.map(|row| row.more.median)
    }

    /// How much more a packet out takes.
    #[must_use]
    pub fn more_out(&self, leaving: Leaving) -> Option<f64> {
        let mut rows = self.leaving.iter();
        let row = rows.find(|row| row.leaving == leaving);
        row.map(|row| row.more.median)
    }
}

impl fmt::Display for StateCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "CPU time of a packet in nanoseconds, over the same rules without states, in the same round; \
             medians and quartiles. Every packet in is dropped; {} distinct packets are of no flow, and as \
             many SYNs go to a port for which there is a rule. In the column \"memory\", a bare program reads \
             a table of the same size at random: for a known flow the tags of a line and then the line, else the tags of \
             two lines; for each packet after it has read for the one before.\n",
            self.packets
        )?;
        writeln!(
            f,
            "| packet | flows | slots | by | without | with | more | quartiles | memory |\n\
             | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
        )?;
        for row in &self.arriving {
            let slots = if row.name == OWN {
                row.slots.to_string()
            } else {
                String::new()
            };
            let memory = row.memory.map(|memory| format!("{:+.1}", memory.median));
            writeln!(
                f,
                "| {} | {} | {slots} | {} | {:.0} | {:.0} | {:+.1} | {:+.1} to {:+.1} | {} |",
                row.arriving,
                row.flows,
                row.name,
                row.without.median,
                row.with.median,
                row.more.median,
                row.more.lower_quartile,
                row.more.upper_quartile,
                memory.unwrap_or_default()
            )?;
        }
        writeln!(
            f,
            "\nA UDP packet of 16 bytes that the machine sends:\n\n\
             | packet out | ns | more | quartiles |\n| --- | ---: | ---: | ---: |"
        )?;
        for row in &self.leaving {
            writeln!(
                f,
                "| {} | {:.0} | {:+.0} | {:+.0} to {:+.0} |",
                row.leaving,
                row.nanoseconds.median,
                row.more.median,
                row.more.lower_quartile,
                row.more.upper_quartile
            )?;
        }
        writeln!(
            f,
            "\nA slot takes {:.2} bytes, and {:.2} more for the addresses of IPv6 flows.",
            self.slot_bytes, self.ipv6_bytes
        )?;
        for absent in &self.absent {
            writeln!(f, "\nNot measured: {absent}.")?;
        }
        Ok(())
    }
}

/// The name of this firewall.
const OWN: &str = "firewall";

/// Measures in `rounds` rounds, with `packets` distinct packets of no flow.
///
/// # Errors
///
/// If `firewall` fails, a packet does not get the expected verdict, or the process is asked to end.
pub fn measure(packets: usize, rounds: u32, cpu: usize, site: &Site) -> Result<StateCost> {
    let clock = Clock::new(cpu)?;
    let mut cost = StateCost {
        packets,
        arriving: Vec::new(),
        leaving: leaving(rounds, &clock, site)?,
        slot_bytes: 0.0,
        ipv6_bytes: 0.0,
        absent: Vec::new(),
    };
    for (flows, slots) in TABLES {
        let own = Pair {
            name: OWN,
            with: SendingHost::start(OWN, &rules(slots, true), site)?,
            without: SendingHost::start(OWN, &rules(slots, false), site)?,
        };
        let memory = |map: &str| own.with.daemon()?.map_memory(map);
        let each = |bytes: u64| bytes as f64 / f64::from(slots);
        cost.slot_bytes = each(memory("flows")? + memory("flow-tags")?);
        cost.ipv6_bytes = each(memory("flow-addresses")?);
        let mut pairs = vec![own];
        if flows <= MOST_TRACKED {
            for other in [nftables, iptables] {
                match other(site) {
                    Ok(pair) => pairs.push(pair),
                    Err(error) => cost.absent.push(format!("{error:#}")),
                }
            }
        }
        for pair in &pairs {
            site.interrupt.check()?;
            // Those of the rules without states are none of anybody.
            pair.with.send(&destinations(flows))?;
        }
        for arriving in Arriving::ALL {
            let rows = measured(
                &pairs,
                arriving,
                (flows, slots),
                packets,
                rounds,
                &clock,
                site,
            )?;
            cost.arriving.extend(rows);
        }
    }
    Ok(cost)
}

/// Rules that drop answers, with states or by what they look like, SYNs to a port, and the rest.
fn rules(slots: u32, by_state: bool) -> String {
    let (state, flows) = if by_state {
        (
            "state = \"established\"\n",
            format!(
                "[flows]\nmax = {slots}\n[flows.timeouts]\nudp = \"4h\"\nudp_answered = \"4h\"\n"
            ),
        )
    } else {
        ("", String::new())
    };
    format!(
        "policy = \"drop\"\n{flows}[[rule]]\nname = \"answers\"\naction = \"drop\"\nproto = \"udp\"\n\
         sport = {REMOTE_PORT}\n{state}[[rule]]\nname = \"open\"\naction = \"drop\"\nproto = \"tcp\"\n\
         dport = {OPEN_PORT}\n"
    )
}

/// The same firewall with and without states.
struct Pair {
    name: &'static str,
    with: SendingHost,
    without: SendingHost,
}

/// nftables at the prerouting hook, after connection tracking.
fn nftables(site: &Site) -> Result<Pair> {
    let command = tool::find("nft", "nftables").map_err(anyhow::Error::msg)?;
    let host = |state: &str| -> Result<SendingHost> {
        let host = SendingHost::new("nftables", Arc::new(Testbed::new()?), None)?;
        let script = format!(
            "table inet filter {{ chain received {{ type filter hook prerouting priority 0; policy drop;\n\
             udp sport {REMOTE_PORT} {state} counter drop\ntcp dport {OPEN_PORT} counter drop\n\
             counter drop\n}}\n}}\n"
        );
        let namespace = &host.testbed().network().host;
        tool::run(namespace, &command, &["-f", "-"], &script, site)?;
        Ok(host)
    };
    Ok(Pair {
        name: "nft ct state",
        with: host("ct state established")?,
        without: host("")?,
    })
}

/// iptables at the prerouting hook of the table `mangle`, after connection tracking.
fn iptables(site: &Site) -> Result<Pair> {
    let command = tool::find("iptables-restore", "iptables").map_err(anyhow::Error::msg)?;
    let host = |state: &str| -> Result<SendingHost> {
        let host = SendingHost::new("iptables", Arc::new(Testbed::new()?), None)?;
        let script = format!(
            "*mangle\n:PREROUTING DROP [0:0]\n\
             -A PREROUTING -p udp --sport {REMOTE_PORT} {state} -j DROP\n\
             -A PREROUTING -p tcp --dport {OPEN_PORT} -j DROP\n-A PREROUTING -j DROP\nCOMMIT\n"
        );
        let namespace = &host.testbed().network().host;
        tool::run(namespace, &command, &[], &script, site)?;
        Ok(host)
    };
    Ok(Pair {
        name: "iptables -m conntrack",
        with: host("-m conntrack --ctstate ESTABLISHED")?,
        without: host("")?,
    })
}

/// Measures packets in of one kind, on all pairs in turn.
fn measured(
    pairs: &[Pair],
    arriving: Arriving,
    (flows, slots): (u32, u32),
    packets: usize,
    rounds: u32,
    clock: &Clock,
    site: &Site,
) -> Result<Vec<ArrivingRow>> {
    let mut series = Vec::new();
    for pair in pairs {
        for host in [&pair.without, &pair.with] {
            let tuples = tuples(arriving, flows, packets, host);
            let mut driver = Driver::load(&tuples, host.testbed())?;
            if arriving == Arriving::Hits {
                // The first answer changes the flow.
                driver.send(host.testbed(), 0, flows, clock)?;
            }
            series.push((driver, host, Vec::new()));
        }
    }
    let mut memory = Memory::new(pairs, arriving, (flows, slots), packets)?;
    let before = packets_before(arriving, flows);
    let unmatched_before = unmatched(pairs)?;
    for round in 0..rounds {
        for (driver, host, times) in &mut series {
            site.interrupt.check()?;
            let (first, from) = places(round, driver.count(), before);
            driver.send(host.testbed(), first, before, clock)?;
            let run = driver.send(host.testbed(), from, AT_ONCE, clock)?;
            times.push(run.nanoseconds());
        }
        memory.measure(round, clock)?;
    }
    let unmatched = unmatched(pairs)? - unmatched_before;
    let sent = u64::from(rounds * (before + AT_ONCE));
    // A few flows of a table that is half full find no room.
    let expected = match arriving {
        Arriving::Hits => 0..=sent / 1_000,
        Arriving::Misses => sent..=sent,
        Arriving::Syns => 0..=0,
    };
    ensure!(
        expected.contains(&unmatched),
        "{arriving}, {flows} flows: {unmatched} of {sent} packets were matched by no rule"
    );
    let rows = pairs
        .iter()
        .zip(series.chunks(2))
        .filter_map(|(pair, two)| {
            let [(_, _, without), (_, _, with)] = two else {
                return None;
            };
            let more = with
                .iter()
                .zip(without)
                .map(|(with, without)| with - without);
            Some(ArrivingRow {
                name: pair.name.to_owned(),
                flows,
                slots,
                arriving,
                without: Spread::of(without),
                with: Spread::of(with),
                more: Spread::of(&more.collect::<Vec<f64>>()),
                memory: (pair.name == OWN).then(|| memory.spread()),
            })
        });
    Ok(rows.collect())
}

/// The number of packets that come before those that are measured.
fn packets_before(arriving: Arriving, flows: u32) -> u32 {
    if arriving == Arriving::Hits && (BEFORE..=FLOWS_BEFORE).contains(&flows) {
        flows
    } else {
        BEFORE
    }
}

/// Where the packets of a round begin in a series of `count`: those that come before, and those that are measured.
fn places(round: u32, count: u32, before: u32) -> (u32, u32) {
    let from = round.wrapping_mul(AT_ONCE) % count;
    let first = (from + before.next_multiple_of(count) - before) % count;
    (first, from)
}

/// What the memory of a table takes alone.
struct Memory<'a> {
    driver: Driver,
    host: &'a SendingHost,
    reading: Reading,
    before: u32,
    more: Vec<f64>,
}

impl<'a> Memory<'a> {
    fn new(
        pairs: &'a [Pair],
        arriving: Arriving,
        (flows, slots): (u32, u32),
        packets: usize,
    ) -> Result<Self> {
        let host = &pairs.first().context("no pair of hosts")?.with;
        let tuples = tuples(arriving, flows, packets, host);
        let lines = slots / LINE_SLOTS;
        Ok(Self {
            driver: Driver::with_table(&tuples, host.testbed(), lines)?,
            host,
            reading: match arriving {
                Arriving::Hits => Reading::Line,
                Arriving::Misses | Arriving::Syns => Reading::Tags,
            },
            before: packets_before(arriving, flows),
            more: Vec::new(),
        })
    }

    fn measure(&mut self, round: u32, clock: &Clock) -> Result<()> {
        let (first, from) = places(round, self.driver.count(), self.before);
        let mut time = |reading| {
            let testbed = self.host.testbed();
            self.driver
                .read(reading, testbed, first, self.before, clock)?;
            let run = self.driver.read(reading, testbed, from, AT_ONCE, clock)?;
            anyhow::Ok(run.nanoseconds())
        };
        let (without, with) = (time(Reading::Nothing)?, time(self.reading)?);
        self.more.push(with - without);
        Ok(())
    }

    fn spread(&self) -> Spread {
        Spread::of(&self.more)
    }
}

/// The packets that no rule of `firewall` with states matched.
fn unmatched(pairs: &[Pair]) -> Result<u64> {
    let own = pairs.iter().find(|pair| pair.name == OWN);
    own.map_or(Ok(0), |pair| Ok(pair.with.daemon()?.verdicts()?.unmatched))
}

/// An address of a range of 2^29, which has no addresses with a meaning of their own; each number has another.
fn address(range: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(range | number.wrapping_mul(0x0765_4321) & 0x1fff_ffff)
}

const PEERS: u32 = 0x2000_0000;
const STRANGERS: u32 = 0x4000_0000;

/// Those to whom the flows go.
fn destinations(flows: u32) -> Vec<SocketAddrV4> {
    let addresses = (0..flows).map(|number| address(PEERS, number));
    addresses
        .map(|address| SocketAddrV4::new(address, REMOTE_PORT))
        .collect()
}

fn tuples(arriving: Arriving, flows: u32, packets: usize, host: &SendingHost) -> Vec<Tuple> {
    let dst = IpAddr::from(host.testbed().host().ipv4);
    let tuple = |src: Ipv4Addr, protocol, sport, dport, tcp_flags| Tuple {
        src: src.into(),
        dst,
        protocol,
        sport,
        dport,
        tcp_flags,
    };
    let strangers = || (0..packets as u32).map(|number| address(STRANGERS, number));
    match arriving {
        Arriving::Hits => (0..flows)
            .map(|number| address(PEERS, number))
            .map(|src| tuple(src, protocol::UDP, REMOTE_PORT, host.port(), 0))
            .collect(),
        Arriving::Misses => strangers()
            .map(|src| tuple(src, protocol::UDP, REMOTE_PORT + 1, host.port(), 0))
            .collect(),
        Arriving::Syns => strangers()
            .map(|src| tuple(src, protocol::TCP, 40_000, OPEN_PORT, 0x02))
            .collect(),
    }
}

/// Measures packets out, of new flows and of known ones.
fn leaving(rounds: u32, clock: &Clock, site: &Site) -> Result<Vec<LeavingRow>> {
    let none = SendingHost::new("no program", Arc::new(Testbed::with_sink()?), None)?;
    let own = SendingHost::start(OWN, &rules(1 << 20, true), site)?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..rounds as usize {
        site.interrupt.check()?;
        let numbers = round * OUT_AT_ONCE..(round + 1) * OUT_AT_ONCE;
        let to: Vec<_> = numbers
            .map(|number| SocketAddrV4::new(address(PEERS, number as u32), REMOTE_PORT))
            .collect();
        // The second time each is known.
        for (host, times) in [&none, &own, &own].into_iter().zip(&mut times) {
            let (time, ()) = clock.time(|| host.send(&to))?;
            times.push(time.as_secs_f64() * 1e9 / to.len() as f64);
        }
    }
    let [base, new, known] = times;
    let row = |leaving, times: &[f64]| {
        let more = times.iter().zip(&base).map(|(time, base)| time - base);
        LeavingRow {
            leaving,
            nanoseconds: Spread::of(times),
            more: Spread::of(&more.collect::<Vec<f64>>()),
        }
    };
    Ok(vec![
        row(Leaving::Unseen, &base),
        row(Leaving::Begins, &new),
        row(Leaving::Known, &known),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_packets_before_end_where_those_that_are_measured_begin() {
        for count in [1, 1_000, 100_000, 300_000, 1_000_000] {
            for round in 0..100 {
                let (first, from) = places(round, count, BEFORE);
                assert!(first < count && from < count);
                assert_eq!((first + BEFORE) % count, from);
            }
        }
    }

    #[test]
    fn every_number_has_an_address_of_its_own_in_its_range() {
        for range in [PEERS, STRANGERS] {
            let addresses = (0..1_000_000).map(|number| address(range, number));
            let distinct: BTreeSet<Ipv4Addr> = addresses.collect();
            assert_eq!(distinct.len(), 1_000_000);
            let in_range = |address: &Ipv4Addr| address.to_bits() & !0x1fff_ffff == range;
            assert!(distinct.iter().all(in_range));
        }
    }
}
