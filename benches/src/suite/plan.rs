//! The plan of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    cost::{drawing::Traffic, sample::Sample, subject_kind::SubjectKind},
    rulesets::{Family, generate::FilterKind, published, trace::path_beside},
};

const MILLION: usize = 1_000_000;

/// The group to which a case belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Ten rules that match no packet.
    TenRules,
    /// Growing numbers of generated rules, compared with firewalls that test one rule after the
    /// other.
    Growing,
    /// Rule sets of ClassBench, or like them, of some size.
    RuleSets,
    /// Published rule sets again, with the packets of the traces beside them.
    Traces,
    /// Lists of single addresses.
    Addresses,
    /// Lists of prefixes.
    Prefixes,
    /// Generated rule sets for IPv6.
    Ipv6RuleSets,
    /// Lists of single IPv6 addresses.
    Ipv6Addresses,
    /// Lists of IPv6 prefixes.
    Ipv6Prefixes,
}

impl Group {
    /// The family of generated addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::TenRules
            | Self::Growing
            | Self::RuleSets
            | Self::Traces
            | Self::Addresses
            | Self::Prefixes => Family::V4,
            Self::Ipv6RuleSets | Self::Ipv6Addresses | Self::Ipv6Prefixes => Family::V6,
        }
    }
}

/// A case to measure.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its group.
    pub group: Group,
    /// The approximate number of rules or members.
    pub size: usize,
    /// Its rules.
    pub sample: Sample,
    /// Its packets.
    pub traffic: Traffic,
    /// The subjects.
    pub kinds: &'static [SubjectKind],
}

/// The cases and durations of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cases, in order.
    pub cases: Vec<Planned>,
    /// The number of packets drawn for each, all distinct.
    pub packets: usize,
    /// The number of rounds in which each firewall is measured.
    pub rounds: u32,
    /// The duration of the measurement of each firewall.
    pub time: Duration,
    /// The timeout for setting up a firewall, after which it is left out.
    pub patience: Duration,
    /// The number of prefixes of the reloaded list.
    pub reloaded: usize,
    /// The number of reloads.
    pub reloads: u32,
    /// The number of banned addresses.
    pub bans: usize,
}

impl Plan {
    /// The plan of a full run.
    #[must_use]
    pub fn full() -> Self {
        let mut cases = vec![compared(Group::TenRules, 10, Sample::TenRules)];
        cases.extend([10, 100, 1000, 10_000].map(growing));
        for (size, ending) in [(1000, "_1k.gz"), (10_000, "_10k.gz"), (100_000, "_100k.gz")] {
            cases.extend(rule_sets(size, ending));
        }
        cases.extend([1000, 100_000, MILLION].map(addresses));
        cases.push(prefixes(MILLION));
        cases.extend(ipv6());
        Self {
            cases,
            packets: MILLION,
            rounds: 12,
            time: Duration::from_millis(1200),
            patience: Duration::from_secs(60),
            reloaded: 100_000,
            reloads: 6,
            bans: MILLION,
        }
    }

    /// The plan of a short run.
    #[must_use]
    pub fn quick() -> Self {
        let mut cases = vec![
            compared(Group::TenRules, 10, Sample::TenRules),
            growing(100),
            growing(1000),
        ];
        for size in [1000, 10_000] {
            cases.extend(generated(Group::RuleSets, size));
        }
        cases.extend([1000, 100_000, MILLION].map(addresses));
        cases.extend(generated(Group::Ipv6RuleSets, 1000));
        Self {
            cases,
            packets: 250_000,
            rounds: 6,
            time: Duration::from_millis(400),
            patience: Duration::from_secs(20),
            reloads: 3,
            ..Self::full()
        }
    }
}

fn ipv6() -> Vec<Planned> {
    let ten = Sample::Rules(FilterKind::Acl, 10);
    let mut cases = vec![alone(Group::Ipv6RuleSets, 10, ten)];
    for size in [1000, 10_000] {
        cases.extend(generated(Group::Ipv6RuleSets, size));
    }
    for (group, sample) in [
        (Group::Ipv6Addresses, Sample::Addresses(MILLION)),
        (Group::Ipv6Prefixes, Sample::Prefixes(MILLION)),
    ] {
        cases.push(alone(group, MILLION, sample));
    }
    cases
}

fn compared(group: Group, size: usize, sample: Sample) -> Planned {
    Planned {
        group,
        size,
        sample,
        traffic: Traffic::Hits,
        kinds: &SubjectKind::COMPARED,
    }
}

fn growing(size: usize) -> Planned {
    let sample = Sample::Rules(FilterKind::Acl, size);
    compared(Group::Growing, size, sample)
}

fn addresses(size: usize) -> Planned {
    compared(Group::Addresses, size, Sample::Addresses(size))
}

fn prefixes(size: usize) -> Planned {
    compared(Group::Prefixes, size, Sample::Prefixes(size))
}

/// The published rule sets of a size, or generated ones if there are none.
fn rule_sets(size: usize, ending: &str) -> Vec<Planned> {
    let files = published::files("classbench", &[ending]);
    if files.is_empty() {
        return generated(Group::RuleSets, size);
    }
    let planned = files.into_iter().flat_map(|file| {
        let trace = path_beside(&file).map(|_| Planned {
            traffic: Traffic::Trace,
            ..alone(Group::Traces, size, Sample::ClassBench(file.clone()))
        });
        let drawn = alone(Group::RuleSets, size, Sample::ClassBench(file));
        [drawn].into_iter().chain(trace)
    });
    planned.collect()
}

fn generated(group: Group, size: usize) -> Vec<Planned> {
    let samples = FilterKind::ALL.map(|kind| Sample::Rules(kind, size));
    samples.map(|sample| alone(group, size, sample)).into()
}

fn alone(group: Group, size: usize, sample: Sample) -> Planned {
    Planned {
        group,
        size,
        sample,
        traffic: Traffic::Hits,
        kinds: &SubjectKind::DROPPING,
    }
}
