//! The choice of packets for rules or a list, and how they are drawn: no packet is drawn twice.

use anyhow::{Result, bail, ensure};

use crate::{
    packet::protocol,
    random::Random,
    rulesets::{
        Family,
        stream::{Pattern, Region, Regions, Stream, between_hosts, distinct},
    },
    tuple::Tuple,
};

/// The choice of packets for rules or a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Traffic {
    /// Packets that a rule matches, or whose source is listed.
    #[default]
    Hits,
    /// All other packets.
    Misses,
    /// The same number of each.
    Mixed,
    /// Those of the trace beside a filter file of ClassBench, in their order.
    Trace,
}

/// The parameters for drawing rules and packets.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// The family of generated addresses.
    pub family: Family,
    /// The choice of packets.
    pub traffic: Traffic,
    /// The maximum number of packets; fewer are drawn if there are not as many distinct ones. A
    /// trace has its own number.
    pub packets: usize,
    /// The seed of the random choices.
    pub seed: u64,
}

/// Packets of every kind, of one family after the other, all distinct.
#[must_use]
pub fn any_packets(families: &[Family], count: usize, seed: u64) -> Vec<Tuple> {
    let mut random = Random::new(seed);
    let families = families.iter().cycle();
    let packets = families.map(|family| Region::everything(*family).inside(&mut random));
    distinct(usual(packets)).take(count).collect()
}

/// Packets aimed at regions, all distinct.
///
/// # Errors
///
/// If there are none, or a trace is requested.
pub(super) fn draw<T: Regions>(regions: &T, drawing: &Drawing) -> Result<Vec<Tuple>> {
    // Random numbers different from those for the rules.
    let seed = !drawing.seed;
    let count = drawing.packets;
    let hits = distinct(usual(Stream::new(regions, Pattern::Uniform, seed)));
    // A moved packet may match a rule.
    let misses = usual(Stream::new(regions, Pattern::Misses, seed));
    let misses = distinct(misses.filter(|packet| !regions.matches(packet)));
    let packets: Vec<_> = match drawing.traffic {
        Traffic::Hits => hits.take(count).collect(),
        Traffic::Misses => misses.take(count).collect(),
        Traffic::Mixed => {
            let pairs = hits.zip(misses).flat_map(|(hit, miss)| [hit, miss]);
            pairs.take(count).collect()
        }
        Traffic::Trace => bail!("only a filter file of ClassBench has a trace beside it"),
    };
    ensure!(!packets.is_empty(), "there are no such packets");
    Ok(packets)
}

/// The packets of the most common protocols, with addresses of hosts. Packets of other protocols
/// may be too long for the driver, or not reach the hooks of other firewalls.
fn usual(packets: impl Iterator<Item = Tuple>) -> impl Iterator<Item = Tuple> {
    const USUAL: [u8; 4] = [
        protocol::TCP,
        protocol::UDP,
        protocol::ICMP,
        protocol::ICMPV6,
    ];
    packets
        .filter(|packet| USUAL.contains(&packet.protocol))
        .map(between_hosts)
}

impl Traffic {
    /// The choice for rules, as a clause.
    pub(super) const fn of_rules(self) -> &'static str {
        match self {
            Self::Hits => "packets aimed at each rule alike",
            Self::Misses => "packets that no rule matches",
            Self::Mixed => "packets aimed at each rule alike and others, half and half",
            Self::Trace => "packets of the trace beside it",
        }
    }

    /// The choice for a list, as a clause.
    pub(super) const fn of_list(self) -> &'static str {
        match self {
            Self::Hits => "packets from listed sources",
            Self::Misses => "packets from sources that are not listed",
            Self::Mixed => "packets from listed sources and others, half and half",
            Self::Trace => "packets of a trace",
        }
    }
}
