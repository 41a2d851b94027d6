//! Protocols, ports and flags of generated rules.

use super::choice::{Weights, by_rank};
use crate::{
    packet::protocol,
    random::Random,
    rulesets::{Family, FlagMatch, PortRange, Rule, ports::has_ports},
};

/// The distributions of protocols, ports and flags.
pub(super) struct UpperProfile {
    /// The protocols.
    pub(super) protocols: &'static [(u32, Option<u8>)],
    /// The pairs of ports of rules whose protocol has some.
    pub(super) ports: &'static [(u32, PortPair)],
    /// The values and masks of the flags of TCP rules.
    pub(super) flags: &'static [(u32, (u8, u8))],
    /// Exact source ports, the most frequent first.
    pub(super) source_ports: &'static [u16],
    /// Exact destination ports, the most frequent first.
    pub(super) destination_ports: &'static [u16],
    /// Other ranges, for either side.
    pub(super) destination_ranges: &'static [(u16, u16)],
}

/// The class of source and destination port together, as in the paper.
#[derive(Clone, Copy, Debug)]
pub(super) enum PortPair {
    AnyAny,
    AnyExact,
    AnyHigh,
    AnyRange,
    ExactAny,
    ExactExact,
    ExactHigh,
    ExactRange,
    HighAny,
    HighExact,
    HighHigh,
    HighRange,
    RangeAny,
}

/// The class of one port.
#[derive(Clone, Copy)]
enum Class {
    Any,
    High,
    Exact,
    Range,
}

/// Fills in the L4 conditions of rules.
pub(super) struct Upper(&'static UpperProfile);

impl Upper {
    pub(super) const fn new(profile: &'static UpperProfile) -> Self {
        Self(profile)
    }

    /// The rule with a protocol, ports and flags.
    pub(super) fn fill(&self, rule: Rule, random: &mut Random) -> Rule {
        let protocol = *Weights::of(self.0.protocols).draw(random);
        let protocol = match (protocol, rule.src.family()) {
            (Some(protocol::ICMP), Family::V6) => Some(protocol::ICMPV6),
            (protocol, Family::V4 | Family::V6) => protocol,
        };
        let rule = Rule { protocol, ..rule };
        if !protocol.is_some_and(has_ports) {
            return rule;
        }
        let (src, dst) = Weights::of(self.0.ports).draw(random).classes();
        let rule = Rule {
            sport: self.range(src, self.0.source_ports, random),
            dport: self.range(dst, self.0.destination_ports, random),
            ..rule
        };
        if protocol != Some(protocol::TCP) {
            return rule;
        }
        let &(value, mask) = Weights::of(self.0.flags).draw(random);
        Rule {
            tcp_flags: FlagMatch::new(value, mask),
            ..rule
        }
    }

    fn range(&self, class: Class, exact: &[u16], random: &mut Random) -> PortRange {
        let ranges = self.0.destination_ranges;
        let found = match class {
            Class::Any => None,
            Class::High => Some(PortRange::HIGH),
            Class::Exact => {
                let port = exact.get(by_rank(exact.len(), random)).copied();
                port.map(PortRange::single)
            }
            Class::Range => {
                let range = ranges.get(by_rank(ranges.len(), random)).copied();
                range.and_then(|(first, last)| PortRange::new(first, last))
            }
        };
        found.unwrap_or(PortRange::ANY)
    }
}

impl PortPair {
    const fn classes(self) -> (Class, Class) {
        match self {
            Self::AnyAny => (Class::Any, Class::Any),
            Self::AnyExact => (Class::Any, Class::Exact),
            Self::AnyHigh => (Class::Any, Class::High),
            Self::AnyRange => (Class::Any, Class::Range),
            Self::ExactAny => (Class::Exact, Class::Any),
            Self::ExactExact => (Class::Exact, Class::Exact),
            Self::ExactHigh => (Class::Exact, Class::High),
            Self::ExactRange => (Class::Exact, Class::Range),
            Self::HighAny => (Class::High, Class::Any),
            Self::HighExact => (Class::High, Class::Exact),
            Self::HighHigh => (Class::High, Class::High),
            Self::HighRange => (Class::High, Class::Range),
            Self::RangeAny => (Class::Range, Class::Any),
        }
    }
}
