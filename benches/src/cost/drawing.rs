//! Which packets meet rules or a list, and how they are drawn: none comes twice.

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

/// Which packets meet rules or a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Traffic {
    /// Those that a rule matches, or whose source is listed.
    #[default]
    Hits,
    /// All others.
    Misses,
    /// As many of each.
    Mixed,
    /// Those of the trace beside a filter file of ClassBench, in their order.
    Trace,
}

/// How packets and what they meet are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// The family of what is generated.
    pub family: Family,
    /// Which packets.
    pub traffic: Traffic,
    /// How many, at most: no more are drawn than differ from each other. A trace has its own number.
    pub packets: usize,
    /// What decides the rest.
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
/// If there are none, or a trace is wanted.
pub(super) fn draw<T: Regions>(regions: &T, drawing: &Drawing) -> Result<Vec<Tuple>> {
    // Other numbers than those of which the rules were made.
    let seed = !drawing.seed;
    let count = drawing.packets;
    let hits = distinct(usual(Stream::new(regions, Pattern::Uniform, seed)));
    // One that was moved may have come into a rule.
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

/// The packets between hosts of the protocols that have nearly all traffic. Those of others may be
/// too long for the driver, or not reach the hooks of other firewalls.
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
    /// How packets meet rules, as a clause.
    pub(super) const fn of_rules(self) -> &'static str {
        match self {
            Self::Hits => "packets aimed at each rule alike",
            Self::Misses => "packets that no rule matches",
            Self::Mixed => "packets aimed at each rule alike and others, half and half",
            Self::Trace => "packets of the trace beside it",
        }
    }

    /// How packets meet a list, as a clause.
    pub(super) const fn of_list(self) -> &'static str {
        match self {
            Self::Hits => "packets from listed sources",
            Self::Misses => "packets from sources that are not listed",
            Self::Mixed => "packets from listed sources and others, half and half",
            Self::Trace => "packets of a trace",
        }
    }
}
