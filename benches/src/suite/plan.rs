//! What a run measures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    cost::{sample::Sample, subject_kind::SubjectKind},
    rulesets::{generate, published},
};

/// What a case is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Ten rules that match no packet.
    TenRules,
    /// More and more generated rules, beside firewalls that look at one after the other.
    Growing,
    /// Rule sets of ClassBench, or like them, of some size.
    RuleSets,
    /// Lists of single addresses.
    Addresses,
    /// Lists of prefixes.
    Prefixes,
}

/// A case to be measured.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it is a part of.
    pub group: Group,
    /// About how many rules or members it has.
    pub size: usize,
    /// What it is.
    pub sample: Sample,
    /// Who takes part.
    pub kinds: &'static [SubjectKind],
}

/// What a run measures, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cases, in order.
    pub cases: Vec<Planned>,
    /// How many packets are drawn for each.
    pub packets: usize,
    /// In how many rounds each firewall is measured.
    pub rounds: u32,
    /// How long each firewall is measured.
    pub time: Duration,
    /// How long setting a firewall up may take before it is left out.
    pub patience: Duration,
    /// How many prefixes the list has that is reloaded.
    pub reloaded: usize,
    /// How often it is reloaded.
    pub reloads: u32,
    /// How many addresses are banned.
    pub bans: usize,
}

impl Plan {
    /// Everything.
    #[must_use]
    pub fn full() -> Self {
        let mut cases = vec![compared(Group::TenRules, 10, Sample::TenRules)];
        cases.extend([10, 100, 1000, 10_000].map(growing));
        for (size, ending) in [(1000, "_1k.gz"), (10_000, "_10k.gz"), (100_000, "_100k.gz")] {
            cases.extend(rule_sets(size, ending));
        }
        cases.extend([1000, 100_000, 1_000_000].map(addresses));
        cases.push(prefixes(1_000_000));
        Self {
            cases,
            packets: 250_000,
            rounds: 12,
            time: Duration::from_millis(1200),
            patience: Duration::from_secs(60),
            reloaded: 100_000,
            reloads: 6,
            bans: 1_000_000,
        }
    }

    /// A part of it, for a first look.
    #[must_use]
    pub fn quick() -> Self {
        let mut cases = vec![
            compared(Group::TenRules, 10, Sample::TenRules),
            growing(100),
            growing(1000),
        ];
        for size in [1000, 10_000] {
            cases.extend(generated(size));
        }
        cases.extend([1000, 100_000, 1_000_000].map(addresses));
        Self {
            cases,
            packets: 100_000,
            rounds: 6,
            time: Duration::from_millis(400),
            patience: Duration::from_secs(20),
            reloads: 3,
            ..Self::full()
        }
    }
}

fn compared(group: Group, size: usize, sample: Sample) -> Planned {
    Planned {
        group,
        size,
        sample,
        kinds: &SubjectKind::COMPARED,
    }
}

fn growing(size: usize) -> Planned {
    let sample = Sample::Rules(generate::FilterKind::Acl, size);
    compared(Group::Growing, size, sample)
}

fn addresses(size: usize) -> Planned {
    compared(Group::Addresses, size, Sample::Addresses(size))
}

fn prefixes(size: usize) -> Planned {
    compared(Group::Prefixes, size, Sample::Prefixes(size))
}

/// The published rule sets of a size, or else generated ones.
fn rule_sets(size: usize, ending: &str) -> Vec<Planned> {
    let files = published::files("classbench", &[ending]);
    if files.is_empty() {
        return generated(size);
    }
    let samples = files.into_iter().map(Sample::ClassBench);
    samples.map(|sample| alone(size, sample)).collect()
}

fn generated(size: usize) -> Vec<Planned> {
    let samples = generate::FilterKind::ALL.map(|kind| Sample::Rules(kind, size));
    samples.map(|sample| alone(size, sample)).into()
}

fn alone(size: usize, sample: Sample) -> Planned {
    Planned {
        group: Group::RuleSets,
        size,
        sample,
        kinds: &SubjectKind::DROPPING,
    }
}
