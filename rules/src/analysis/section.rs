//! The deciders for packets of one family and direction, in order of precedence.

use std::collections::HashSet;

use firewall_ebpf::abi::Reason;

use super::{
    axis::{AXES, NetworkProtocol, Packets},
    cube::{Cube, CubeSet, Pool},
    interfaces::Interfaces,
};
use crate::{
    evaluator::Outcome,
    model::{Direction, RuleId, Ruleset, Verdict},
};

/// What can decide a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decider {
    /// A rule.
    Rule(RuleId),
    /// The exception for packets without which a link does not work.
    Neighbor,
    /// The policy of a direction.
    Policy(Direction),
    /// The verdict for unknown EtherTypes; of packets out, that of the policy.
    UnknownEthertype(Direction),
}

impl Decider {
    /// The corresponding outcome of the evaluator.
    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Rule(id) => Outcome::Rule(id),
            Self::Neighbor => Outcome::Reason(Reason::Neighbor),
            Self::Policy(_) => Outcome::Reason(Reason::Policy),
            Self::UnknownEthertype(_) => Outcome::Reason(Reason::UnknownEthertype),
        }
    }
}

/// The deciders for packets of one family, in order of precedence. The last one takes all remaining
/// packets; no two take the same packets.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) deciders: Vec<(Decider, Verdict)>,
    pub(super) cubes: Vec<Cube>,
}

impl Section {
    pub(super) fn new(
        ruleset: &Ruleset,
        packets: Packets,
        interfaces: &Interfaces,
        pool: &mut Pool,
    ) -> Self {
        let mut section = Self::default();
        let mut seen = HashSet::new();
        let mut add = |cube: Cube, decider: Decider, verdict: Verdict| {
            if seen.insert(cube) {
                section.cubes.push(cube);
                section.deciders.push((decider, verdict));
            }
        };
        for (id, rule) in ruleset.iter() {
            let Some(verdict) = rule.action.verdict() else {
                continue;
            };
            if let Some(cube) = pool.cube(rule, packets, interfaces) {
                add(cube, Decider::Rule(id), verdict);
            }
        }
        for cube in pool.neighbors(packets) {
            add(cube, Decider::Neighbor, Verdict::Pass);
        }
        let (last, reason) = match packets.network {
            NetworkProtocol::Ipv4 | NetworkProtocol::Ipv6 => {
                (Decider::Policy(packets.direction), Reason::Policy)
            }
            NetworkProtocol::Other => (
                Decider::UnknownEthertype(packets.direction),
                Reason::UnknownEthertype,
            ),
        };
        let everything = [CubeSet::ALL; AXES];
        add(
            everything,
            last,
            ruleset.settings.verdict_for(packets.direction, reason),
        );
        if let Some(last) = section.cubes.iter().position(|cube| *cube == everything) {
            section.cubes.truncate(last + 1);
            section.deciders.truncate(last + 1);
        }
        section
    }

    pub(super) fn len(&self) -> usize {
        self.cubes.len()
    }
}
