//! Statistics of a rule set, for comparisons.

use std::{collections::HashSet, fmt, hash::Hash};

use super::{PortRange, Rule, RuleSet};

/// The statistics of a rule set. Shares are in per mille of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The number of rules.
    pub rules: usize,
    /// The number of different source prefixes.
    pub sources: usize,
    /// The number of different destination prefixes.
    pub destinations: usize,
    /// The number of different pairs of source and destination prefix.
    pub pairs: usize,
    /// The number of different pairs of port ranges.
    pub port_pairs: usize,
    /// The share of sources of at most 2 bits.
    pub open_sources: usize,
    /// The share of destinations of at most 2 bits.
    pub open_destinations: usize,
    /// The share of sources of at most 4 open bits.
    pub host_sources: usize,
    /// The share of destinations of at most 4 open bits.
    pub host_destinations: usize,
    /// The share of rules for any protocol.
    pub open_protocols: usize,
    /// The share of rules with a condition on TCP flags.
    pub with_flags: usize,
    /// The share of each class of port pairs, by the classes of both sides: any, high, low, exact,
    /// other range.
    pub port_classes: [[usize; 5]; 5],
}

/// The letters of the classes of a port, as in ClassBench.
const CLASSES: [&str; 5] = ["W", "H", "L", "E", "A"];

impl Statistics {
    /// Computes the statistics of a rule set.
    #[must_use]
    pub fn of(set: &RuleSet) -> Self {
        let rules = &set.rules;
        let share = |is: &dyn Fn(&Rule) -> bool| {
            rules.iter().filter(|rule| is(rule)).count() * 1000 / rules.len().max(1)
        };
        let is_host = |prefix: super::Prefix| prefix.family().bits() - prefix.length() <= 4;
        Self {
            rules: rules.len(),
            sources: different(rules, |rule| rule.src),
            destinations: different(rules, |rule| rule.dst),
            pairs: different(rules, |rule| (rule.src, rule.dst)),
            port_pairs: different(rules, |rule| (rule.sport, rule.dport)),
            open_sources: share(&|rule| rule.src.length() <= 2),
            open_destinations: share(&|rule| rule.dst.length() <= 2),
            host_sources: share(&|rule| is_host(rule.src)),
            host_destinations: share(&|rule| is_host(rule.dst)),
            open_protocols: share(&|rule| rule.protocol.is_none()),
            with_flags: share(&|rule| !rule.tcp_flags.is_any()),
            port_classes: [0, 1, 2, 3, 4].map(|src| {
                [0, 1, 2, 3, 4]
                    .map(|dst| share(&|rule| class(rule.sport) == src && class(rule.dport) == dst))
            }),
        }
    }
}

fn different<T: Eq + Hash>(rules: &[Rule], part: impl Fn(&Rule) -> T) -> usize {
    rules.iter().map(part).collect::<HashSet<_>>().len()
}

fn class(range: PortRange) -> usize {
    match range {
        PortRange::ANY => 0,
        PortRange::HIGH => 1,
        PortRange::LOW => 2,
        range if range.is_single() => 3,
        _ => 4,
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rules,
            sources,
            destinations,
            pairs,
            port_pairs,
            open_sources,
            open_destinations,
            host_sources,
            host_destinations,
            open_protocols,
            with_flags,
            port_classes,
        } = self;
        write!(
            f,
            "{rules} rules, different: {sources} src {destinations} dst {pairs} pairs \
             {port_pairs} port pairs; per mille: open {open_sources} src {open_destinations} dst \
             {open_protocols} proto, host {host_sources} src {host_destinations} dst, flags \
             {with_flags}, ports"
        )?;
        for (src, shares) in CLASSES.iter().zip(port_classes) {
            for (dst, share) in CLASSES.iter().zip(shares) {
                if *share > 0 {
                    write!(f, " {src}{dst} {share}")?;
                }
            }
        }
        Ok(())
    }
}
