//! Cases that every firewall has words for. Each drops every packet.

use std::{collections::BTreeSet, fmt::Write as _, net::Ipv4Addr, str::FromStr};

use anyhow::{Result, bail, ensure};

use super::case::{Addresses, Case, Config, INTERFACE, IpSet};
use crate::{
    packet::{protocol, tcp_flags},
    random::Random,
    tuple::Tuple,
};

/// Up to how many rules a firewall gets that looks at one after the other: what a packet costs
/// then is known to grow with their number.
const MAX_LINEAR: usize = 10_000;

/// The most addresses or prefixes of a sample.
const MAX_MEMBERS: usize = 4_000_000;

/// What is to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Ten rules on addresses, ports and protocol that match no packet.
    TenRules,
    /// A list of this many source addresses to drop.
    Addresses(usize),
    /// A list of this many source prefixes of 16 to 28 bits to drop.
    Prefixes(usize),
}

/// Which packets meet a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Traffic {
    /// Those from listed sources.
    Listed,
    /// Those from others.
    Unlisted,
    /// As many of each.
    Mixed,
}

impl FromStr for Sample {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = text.split_once(':').unwrap_or((text, ""));
        let members = || -> Result<usize> {
            let members = number.replace('_', "").parse()?;
            ensure!(
                (1..=MAX_MEMBERS).contains(&members),
                "a list has 1 to {MAX_MEMBERS} members, not `{members}`"
            );
            Ok(members)
        };
        match name {
            "ten-rules" if number.is_empty() => Ok(Self::TenRules),
            "addresses" => members().map(Self::Addresses),
            "prefixes" => members().map(Self::Prefixes),
            _ => bail!("it is one of `ten-rules`, `addresses:N`, `prefixes:N`"),
        }
    }
}

impl Sample {
    /// Draws the case with `packets` packets.
    ///
    /// # Errors
    ///
    /// If there is no room for as many prefixes.
    pub fn case(self, traffic: Traffic, packets: usize, seed: u64) -> Result<Case> {
        let mut random = Random::new(seed);
        Ok(match self {
            Self::TenRules => ten_rules(packets, &mut random),
            Self::Addresses(members) => {
                let listed = addresses(members, &mut random);
                list("addresses", &listed, traffic, packets, &mut random)
            }
            Self::Prefixes(members) => {
                let listed = prefixes(members, &mut random)?;
                list("prefixes", &listed, traffic, packets, &mut random)
            }
        })
    }
}

/// The prefix in which no packet of [`ten_rules`] has its source.
const OFFICE: [u8; 2] = [198, 18];

fn ten_rules(packets: usize, random: &mut Random) -> Case {
    let mut toml = settings();
    let mut nft = String::new();
    let mut iptables = String::new();
    for number in 0..10u16 {
        let [a, b] = OFFICE;
        let (src, dst) = (
            format!("{a}.{b}.{number}.0/24"),
            format!("203.0.113.{number}"),
        );
        let (proto, port) = (
            if number % 2 == 0 { "tcp" } else { "udp" },
            1000 + 100 * number,
        );
        // Writing to a string does not fail.
        let _ = write!(
            toml,
            "[[rule]]\nname = \"rule {number}\"\naction = \"pass\"\nproto = \"{proto}\"\n\
             src = \"{src}\"\ndst = \"{dst}\"\ndport = {port}\n\n"
        );
        let _ = writeln!(
            nft,
            "    ip saddr {src} ip daddr {dst} {proto} dport {port} counter accept"
        );
        let _ = writeln!(
            iptables,
            "-A PREROUTING -s {src} -d {dst} -p {proto} -m {proto} --dport {port} -j ACCEPT"
        );
    }
    Case {
        name: "ten-rules".to_owned(),
        description: "ten rules on addresses, protocol and port, none of which matches, then drop"
            .to_owned(),
        packets: std::iter::repeat_with(|| tuple(outside(random, in_office), random))
            .take(packets)
            .collect(),
        config: Config {
            toml: Ok(toml),
            lists: Vec::new(),
            nft_netdev: Ok(nft_netdev("", &nft)),
            nft_inet: Ok(nft_inet("", &nft)),
            iptables: Ok(raw_table(&iptables)),
            ipset: Err("it is no list".to_owned()),
            addresses: Err("it knows no rules on more than one field".to_owned()),
        },
    }
}

fn in_office(address: u32) -> bool {
    let [a, b, ..] = address.to_be_bytes();
    [a, b] == OFFICE
}

/// A range of addresses that a prefix covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix {
    first: u32,
    len: u8,
}

impl Prefix {
    fn last(self) -> u32 {
        self.first | u32::MAX.checked_shr(self.len.into()).unwrap_or(0)
    }

    fn text(self) -> String {
        let address = Ipv4Addr::from(self.first);
        match self.len {
            32 => address.to_string(),
            len => format!("{address}/{len}"),
        }
    }
}

fn list(
    name: &str,
    listed: &BTreeSet<Prefix>,
    traffic: Traffic,
    packets: usize,
    random: &mut Random,
) -> Case {
    let members: Vec<_> = listed.iter().copied().collect();
    let is_single = name == "addresses";
    let is_listed = |address: u32| {
        let mut before = listed.range(
            ..=Prefix {
                first: address,
                len: 32,
            },
        );
        before
            .next_back()
            .is_some_and(|prefix| prefix.last() >= address)
    };
    let packets = std::iter::repeat_with(|| {
        let wants_listed = match traffic {
            Traffic::Listed => true,
            Traffic::Unlisted => false,
            Traffic::Mixed => random.below(2) == 0,
        };
        let member = members.get(random.below(members.len() as u64) as usize);
        let src = match member {
            Some(prefix) if wants_listed => {
                let size = u64::from(prefix.last() - prefix.first) + 1;
                prefix.first + random.below(size) as u32
            }
            _ => outside(random, is_listed),
        };
        tuple(src, random)
    })
    .take(packets)
    .collect();
    let lines = |before: &str| -> String {
        let lines = members
            .iter()
            .map(|prefix| format!("{before}{}\n", prefix.text()));
        lines.collect()
    };
    let toml = settings()
        + "[sets]\nlisted = { file = \"listed.txt\" }\n\n\
           [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@listed\"\n";
    let elements: Vec<_> = members.iter().map(|prefix| prefix.text()).collect();
    let flags = if is_single { "" } else { "flags interval; " };
    let nft_set = format!(
        "  set listed {{ type ipv4_addr; {flags}elements = {{ {} }} }}\n",
        elements.join(", ")
    );
    let nft_rule = "    ip saddr @listed counter drop\n";
    let rules: String = members
        .iter()
        .map(|prefix| format!("-A PREROUTING -s {} -j DROP\n", prefix.text()))
        .collect();
    let kind = if is_single { "hash:ip" } else { "hash:net" };
    let room = members.len().max(65_536);
    let sets = format!("create listed {kind} maxelem {room}\n") + &lines("add listed ");
    let linear = if members.len() <= MAX_LINEAR {
        Ok(raw_table(&rules))
    } else {
        Err(format!(
            "it would need one rule for each, and look at one after the other; left out above {MAX_LINEAR}"
        ))
    };
    let addresses = match (is_single, traffic) {
        (false, _) => Err("it knows single addresses only".to_owned()),
        (true, Traffic::Mixed) => Err("it drops the listed or the others, not both".to_owned()),
        (true, Traffic::Listed | Traffic::Unlisted) => Ok(Addresses {
            listed: members
                .iter()
                .map(|prefix| Ipv4Addr::from(prefix.first).into())
                .collect(),
            dropped: traffic == Traffic::Listed,
        }),
    };
    let sources = match traffic {
        Traffic::Listed => "listed sources",
        Traffic::Unlisted => "sources that are not listed",
        Traffic::Mixed => "listed sources and others, half and half",
    };
    Case {
        name: format!("{name}:{}", members.len()),
        description: format!(
            "a list of {} source {name} to drop, then drop; packets from {sources}",
            members.len()
        ),
        packets,
        config: Config {
            toml: Ok(toml),
            lists: vec![("listed.txt".to_owned(), lines(""))],
            nft_netdev: Ok(nft_netdev(&nft_set, nft_rule)),
            nft_inet: Ok(nft_inet(&nft_set, nft_rule)),
            iptables: linear,
            ipset: Ok(IpSet {
                sets,
                rules: raw_table("-A PREROUTING -m set --match-set listed src -j DROP\n"),
            }),
            addresses,
        },
    }
}

/// Single addresses, all different.
fn addresses(count: usize, random: &mut Random) -> BTreeSet<Prefix> {
    let mut listed = BTreeSet::new();
    while listed.len() < count {
        listed.insert(Prefix {
            first: unicast(random),
            len: 32,
        });
    }
    listed
}

/// Prefixes of which none overlaps another.
fn prefixes(count: usize, random: &mut Random) -> Result<BTreeSet<Prefix>> {
    let mut listed: BTreeSet<Prefix> = BTreeSet::new();
    let mut failures = 0u32;
    while listed.len() < count {
        ensure!(
            failures < 10_000_000,
            "there is no room for `{count}` prefixes that do not overlap"
        );
        // Long ones are the most frequent, as in lists of sources to drop.
        let len = 28 - (random.number().leading_zeros().min(12)) as u8;
        let first = unicast(random) & !(u32::MAX >> len);
        let prefix = Prefix { first, len };
        let upto = Prefix {
            first: prefix.last(),
            len: 32,
        };
        let before = listed.range(..=upto).next_back();
        if before.is_some_and(|other| other.last() >= first) {
            failures += 1;
            continue;
        }
        listed.insert(prefix);
    }
    Ok(listed)
}

/// An address of a host (RFC 6890): none of `0.0.0.0/8`, `127.0.0.0/8` and `224.0.0.0/3`, nor of
/// the test network.
fn unicast(random: &mut Random) -> u32 {
    loop {
        let address = random.below(224 << 24) as u32;
        let [a, b, c, _] = address.to_be_bytes();
        if a != 0 && a != 127 && [a, b, c] != [192, 0, 2] {
            return address;
        }
    }
}

/// An address of a host for which `is_inside` does not hold.
fn outside(random: &mut Random, is_inside: impl Fn(u32) -> bool) -> u32 {
    loop {
        let address = unicast(random);
        if !is_inside(address) {
            return address;
        }
    }
}

/// A packet from `src` with other fields drawn at random.
fn tuple(src: u32, random: &mut Random) -> Tuple {
    let [s0, s1, d0, d1, choice, ..] = random.number().to_le_bytes();
    let is_tcp = choice & 1 == 0;
    Tuple {
        src: Ipv4Addr::from(src).into(),
        dst: Ipv4Addr::from(unicast(random)).into(),
        protocol: if is_tcp { protocol::TCP } else { protocol::UDP },
        sport: u16::from_le_bytes([s0, s1]),
        dport: u16::from_le_bytes([d0, d1]),
        tcp_flags: if is_tcp { tcp_flags::SYN } else { 0 },
    }
}

fn settings() -> String {
    format!("[firewall]\ninterfaces = [\"{INTERFACE}\"]\nmode = \"native\"\npolicy = \"drop\"\n\n")
}

fn nft_netdev(sets: &str, rules: &str) -> String {
    format!(
        "table netdev bench {{\n{sets}  chain ingress {{\n    type filter hook ingress device \
         \"{INTERFACE}\" priority 0; policy drop;\n{rules}    counter drop\n  }}\n}}\n"
    )
}

fn nft_inet(sets: &str, rules: &str) -> String {
    format!(
        "table inet bench {{\n{sets}  chain prerouting {{\n    type filter hook prerouting \
         priority raw; policy drop;\n{rules}    counter drop\n  }}\n}}\n"
    )
}

fn raw_table(rules: &str) -> String {
    format!("*raw\n:PREROUTING DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_named() {
        let sample = |text: &str| text.parse::<Sample>();
        assert_eq!(sample("ten-rules").unwrap(), Sample::TenRules);
        assert_eq!(sample("addresses:10").unwrap(), Sample::Addresses(10));
        assert_eq!(sample("prefixes:1_000").unwrap(), Sample::Prefixes(1000));
        for wrong in ["", "ten-rules:1", "addresses", "addresses:0", "other:1"] {
            sample(wrong).unwrap_err();
        }
    }

    #[test]
    fn prefixes_do_not_overlap() {
        let listed = prefixes(2000, &mut Random::new(1)).unwrap();
        let listed: Vec<_> = listed.into_iter().collect();
        assert_eq!(listed.len(), 2000);
        for pair in listed.windows(2) {
            assert!(pair[0].last() < pair[1].first);
        }
        assert!(listed.iter().all(|prefix| (16..=28).contains(&prefix.len)));
    }

    #[test]
    fn packets_come_from_the_sources_that_were_asked_for() {
        for sample in [Sample::Addresses(50), Sample::Prefixes(50)] {
            for (traffic, expected) in [
                (Traffic::Listed, 1000..1001),
                (Traffic::Unlisted, 0..1),
                (Traffic::Mixed, 400..600),
            ] {
                let case = sample.case(traffic, 1000, 3).unwrap();
                let (_, list) = &case.config.lists[0];
                let ranges: Vec<_> = list
                    .lines()
                    .map(|line| {
                        let (address, len) = line.split_once('/').unwrap_or((line, "32"));
                        let first = u32::from(address.parse::<Ipv4Addr>().unwrap());
                        let size = 1u64 << (32 - len.parse::<u32>().unwrap());
                        u64::from(first)..u64::from(first) + size
                    })
                    .collect();
                let listed = case.packets.iter().filter(|packet| {
                    let std::net::IpAddr::V4(src) = packet.src else {
                        panic!("the samples are IPv4");
                    };
                    let src = u64::from(u32::from(src));
                    ranges.iter().any(|range| range.contains(&src))
                });
                assert!(expected.contains(&listed.count()), "{sample:?} {traffic:?}");
            }
        }
    }
}
