//! Cases that every firewall has words for. Each drops every packet.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::case::{Case, Rules};
use crate::{
    packet::protocol,
    random::Random,
    rulesets::{
        AddressList, Family, Index, ListPolicy, PortRange, Prefix, Rule, RuleSet, Verdict,
        classbench, generate, published,
        stream::{Listed, Pattern, Region, Regions, Stream, between_hosts},
        trace::trace_of,
    },
    tuple::Tuple,
};

/// The most addresses or prefixes of a sample.
const MAX_MEMBERS: usize = 4_000_000;

/// The most rules of a sample.
const MAX_RULES: usize = 1_000_000;

/// What is to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Ten rules on addresses, ports and protocol that match no packet.
    TenRules,
    /// Generated rules of a kind, and how many.
    Rules(generate::FilterKind, usize),
    /// A filter file of ClassBench.
    ClassBench(PathBuf),
    /// A list of this many source addresses.
    Addresses(usize),
    /// A list of this many source prefixes.
    Prefixes(usize),
}

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
}

/// How packets and what they meet are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// The family of what is generated.
    pub family: Family,
    /// Which packets.
    pub traffic: Traffic,
    /// How many; a trace that lies beside a filter file has its own number.
    pub packets: usize,
    /// What decides the rest.
    pub seed: u64,
}

impl FromStr for Sample {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        Ok(match name {
            "ten-rules" if rest.is_empty() => Self::TenRules,
            "rules" => {
                let (kind, count) = rest.split_once(':').unwrap_or(("acl", rest));
                Self::Rules(kind_of(kind)?, number(count, MAX_RULES)?)
            }
            "classbench" if !rest.is_empty() => Self::ClassBench(rest.into()),
            "addresses" => Self::Addresses(number(rest, MAX_MEMBERS)?),
            "prefixes" => Self::Prefixes(number(rest, MAX_MEMBERS)?),
            _ => bail!(
                "it is one of `ten-rules`, `rules:N`, `rules:KIND:N`, `classbench:FILE`, \
                 `addresses:N`, `prefixes:N`"
            ),
        })
    }
}

fn kind_of(name: &str) -> Result<generate::FilterKind> {
    let found = generate::FilterKind::ALL
        .iter()
        .find(|kind| kind.name() == name);
    let found = found.copied();
    found.with_context(|| format!("`{name}` is no kind of rules: it is `acl`, `fw` or `ipc`"))
}

fn number(text: &str, most: usize) -> Result<usize> {
    let number = text.replace('_', "").parse()?;
    ensure!(
        (1..=most).contains(&number),
        "the number is from 1 to {most}, not `{number}`"
    );
    Ok(number)
}

impl Sample {
    /// Draws the case.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or packets are wanted that the rules do not leave.
    pub fn case(&self, drawing: &Drawing) -> Result<Case> {
        let Drawing { family, seed, .. } = *drawing;
        match self {
            Self::TenRules => {
                // None of the rules matches a packet, whatever is asked for.
                let traffic = Traffic::Misses;
                let drawing = Drawing {
                    traffic,
                    ..*drawing
                };
                of_rules("ten-rules".to_owned(), ten_rules(), Vec::new(), &drawing)
            }
            Self::Rules(kind, count) => {
                let set = generate::rule_set(*kind, family, *count, Verdict::Drop, seed);
                let name = format!("rules:{}:{count}", kind.name());
                of_rules(name, set.dropping_all(), Vec::new(), drawing)
            }
            Self::ClassBench(path) => {
                let set = classbench::read_rules(path, Verdict::Drop)?;
                let trace = trace_of(path)?;
                let trace = trace.into_iter().map(|entry| entry.tuple).collect();
                let name = format!("classbench:{}", short_name(path));
                of_rules(name, set.dropping_all(), trace, drawing)
            }
            Self::Addresses(count) => {
                let list = generate::addresses(*count, family, seed);
                of_list(format!("addresses:{count}"), list, drawing)
            }
            Self::Prefixes(count) => {
                let list = generate::prefixes(*count, family, seed);
                of_list(format!("prefixes:{count}"), list, drawing)
            }
        }
    }
}

/// Packets of every kind, of one family after the other.
#[must_use]
pub fn any_packets(families: &[Family], count: usize, seed: u64) -> Vec<Tuple> {
    let mut random = Random::new(seed);
    let families = families.iter().cycle();
    let packets = families.map(|family| Region::everything(*family).inside(&mut random));
    usual(packets).take(count).collect()
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

fn short_name(path: &Path) -> &str {
    published::name(path).trim_end_matches(".gz")
}

/// Rules for TCP and UDP by turns from a network without hosts (RFC 2544).
fn ten_rules() -> RuleSet {
    let rules = (0..10_u8).map(|number| {
        let src = Ipv4Addr::new(198, 18, number, 0).into();
        let dst = Ipv4Addr::new(203, 0, 113, number).into();
        Rule {
            dst: Prefix::host(dst),
            protocol: Some(if number % 2 == 0 {
                protocol::TCP
            } else {
                protocol::UDP
            }),
            dport: PortRange::single(1000 + 100 * u16::from(number)),
            // The length is at most 32.
            ..Rule::of_source(
                Prefix::new(src, 24).unwrap_or(Prefix::host(src)),
                Verdict::Pass,
            )
        }
    });
    RuleSet {
        rules: rules.collect(),
        default: Verdict::Drop,
    }
}

fn of_rules(name: String, set: RuleSet, trace: Vec<Tuple>, drawing: &Drawing) -> Result<Case> {
    let (packets, source) = if trace.is_empty() {
        let index = Index::new(&set);
        let packets = packets(&index, drawing)?;
        (packets, drawing.traffic.of_rules())
    } else {
        (trace, "packets of the trace beside it")
    };
    Ok(Case {
        name,
        description: format!("{} rules, then drop; {source}", set.rules.len()),
        packets,
        rules: Rules::Set(set),
    })
}

fn of_list(name: String, list: AddressList, drawing: &Drawing) -> Result<Case> {
    let (policy, verdict) = match drawing.traffic {
        Traffic::Hits => (ListPolicy::BLOCKLIST, "drop"),
        Traffic::Misses => (ListPolicy::ALLOWLIST, "pass"),
        Traffic::Mixed => (ListPolicy::DROP, "drop"),
    };
    Ok(Case {
        name,
        description: format!(
            "a list of {} sources to {verdict}; {}",
            list.members.len(),
            drawing.traffic.of_list()
        ),
        packets: packets(&Listed::new(&list), drawing)?,
        rules: Rules::List(list, policy),
    })
}

/// Packets aimed at regions.
fn packets<T: Regions>(regions: &T, drawing: &Drawing) -> Result<Vec<Tuple>> {
    let Drawing {
        traffic,
        packets: count,
        seed,
        ..
    } = *drawing;
    // Other numbers than those of which the rules were made.
    let seed = !seed;
    let hits = usual(Stream::new(regions, Pattern::Uniform, seed));
    // One that was moved may have come into a rule.
    let misses = usual(Stream::new(regions, Pattern::Misses, seed))
        .filter(|packet| !regions.matches(packet));
    let packets: Vec<_> = match traffic {
        Traffic::Hits => hits.take(count).collect(),
        Traffic::Misses => misses.take(count).collect(),
        Traffic::Mixed => {
            let pairs = hits.zip(misses).flat_map(|(hit, miss)| [hit, miss]);
            pairs.take(count).collect()
        }
    };
    ensure!(
        packets.len() == count,
        "there are no packets that are not matched"
    );
    Ok(packets)
}

impl Traffic {
    const fn of_rules(self) -> &'static str {
        match self {
            Self::Hits => "packets aimed at each rule alike",
            Self::Misses => "packets that no rule matches",
            Self::Mixed => "packets aimed at each rule alike and others, half and half",
        }
    }

    const fn of_list(self) -> &'static str {
        match self {
            Self::Hits => "packets from listed sources",
            Self::Misses => "packets from sources that are not listed",
            Self::Mixed => "packets from listed sources and others, half and half",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWING: Drawing = Drawing {
        family: Family::V4,
        traffic: Traffic::Hits,
        packets: 1000,
        seed: 3,
    };

    #[test]
    fn samples_are_named() {
        let sample = |text: &str| text.parse::<Sample>();
        assert_eq!(sample("ten-rules").unwrap(), Sample::TenRules);
        assert_eq!(sample("addresses:10").unwrap(), Sample::Addresses(10));
        assert_eq!(sample("prefixes:1_000").unwrap(), Sample::Prefixes(1000));
        let rules = Sample::Rules(generate::FilterKind::Fw, 10);
        assert_eq!(sample("rules:fw:10").unwrap(), rules);
        assert_eq!(
            sample("classbench:a/b.gz").unwrap(),
            Sample::ClassBench("a/b.gz".into())
        );
        for wrong in [
            "",
            "ten-rules:1",
            "addresses",
            "addresses:0",
            "rules:other:1",
            "other:1",
        ] {
            sample(wrong).unwrap_err();
        }
    }

    #[test]
    fn no_packet_passes() {
        for family in [Family::V4, Family::V6] {
            for traffic in [Traffic::Hits, Traffic::Misses, Traffic::Mixed] {
                let drawing = Drawing {
                    family,
                    traffic,
                    ..DRAWING
                };
                for sample in [
                    Sample::TenRules,
                    Sample::Rules(generate::FilterKind::Acl, 50),
                    Sample::Addresses(50),
                    Sample::Prefixes(50),
                ] {
                    let case = sample.case(&drawing).unwrap();
                    let set = match case.rules {
                        Rules::Set(set) => set,
                        Rules::List(list, policy) => RuleSet::of_list(&list, policy),
                        Rules::File(_) => panic!("no sample is a rule file"),
                    };
                    assert_eq!(case.packets.len(), 1000);
                    let dropped = |tuple: &Tuple| set.decide(tuple).verdict == Verdict::Drop;
                    let passed = case.packets.iter().find(|tuple| !dropped(tuple));
                    assert_eq!(passed, None, "{sample:?} {drawing:?}");
                }
            }
        }
    }

    #[test]
    fn half_of_mixed_packets_are_listed() {
        let drawing = Drawing {
            traffic: Traffic::Mixed,
            ..DRAWING
        };
        let case = Sample::Addresses(50).case(&drawing).unwrap();
        let Rules::List(list, _) = &case.rules else {
            panic!("it is a list");
        };
        let listed = Listed::new(list);
        let hits = case.packets.iter().filter(|tuple| listed.matches(tuple));
        assert_eq!(hits.count(), 500);
    }
}
