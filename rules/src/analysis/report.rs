//! The results of comparing two rule sets.

use super::{
    axis::Packets,
    describe::FieldValues,
    interfaces::Interfaces,
    region::{Point, Region},
    section::Decider,
    witness::{self, Witness},
};
use crate::{
    evaluator::{self, Fields},
    model::{RuleId, Ruleset, Verdict},
};

/// A name under which other packets are counted than before, without deciding over them in one of the
/// rule sets at least.
#[derive(Clone, Debug)]
pub struct CountChange {
    /// The name.
    pub name: String,
    /// A packet that was counted and is no longer.
    pub lost: Option<Witness>,
    /// A packet that is counted and was not.
    pub gained: Option<Witness>,
}

/// What counts as a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The verdicts.
    Verdicts,
    /// The verdicts, and under which names a packet is counted.
    Deciders,
}

/// What two rule sets judge differently.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The changes, by old and new decider.
    pub changes: Vec<Change>,
    /// What rules that only count have counted otherwise, in their order; [`Compare::Deciders`] only.
    pub counts: Vec<CountChange>,
    /// What the budget did not suffice for. Outside of it, there are no other changes.
    pub undecided: Vec<Undecided>,
    pub(super) interfaces: Option<Interfaces>,
}

/// Packets that another decider has than before.
#[derive(Clone, Debug)]
pub struct Change {
    /// What decided before, and how.
    pub old: (Decider, Verdict),
    /// What decides now, and how.
    pub new: (Decider, Verdict),
    /// Whether both rules are in both rule sets and have changed places.
    pub is_swap: bool,
    /// Which packets these are.
    pub areas: Vec<Area>,
}

/// The packets of a region less those that rules before take.
#[derive(Clone, Debug)]
pub struct Area {
    /// Their family.
    pub packets: Packets,
    /// In what they differ from others of their family.
    pub fields: Vec<FieldValues>,
    /// The rules of the old rule set that take part of them before.
    pub except_old: Vec<RuleId>,
    /// The rules of the new rule set that take part of them before, but for those that are the
    /// same as one of [`Self::except_old`].
    pub except_new: Vec<RuleId>,
    /// One of them.
    pub witness: Witness,
    pub(super) region: Region,
    /// What of the region passes as [`Decider::Neighbor`] before.
    pub(super) neighbors: Vec<Region>,
}

/// What was not found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Whether there are packets in a region that have changed from the one to the other.
    Change {
        /// What would have decided before.
        old: Decider,
        /// What would decide now.
        new: Decider,
        /// The family.
        packets: Packets,
        /// The region.
        fields: Vec<FieldValues>,
    },
    /// What becomes of packets that this decided in the old rule set.
    Old(Decider, Packets),
    /// What became of packets that this decides in the new rule set.
    New(Decider, Packets),
    /// Whether packets of the family are counted under this name that were not, or no longer.
    Counted(String, Packets),
    /// Anything at all about packets of the family.
    All(Packets),
}

/// The analysis found a packet that the evaluator judges otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the analysis and the evaluator disagree over `{0}`: this is a defect of this software")]
pub struct Contradiction(pub(super) String);

impl Diff {
    /// Whether a change holds the packet.
    #[must_use]
    pub fn holds(&self, old: &Ruleset, new: &Ruleset, fields: &Fields, interface: &str) -> bool {
        let mut areas = self.changes.iter().flat_map(|change| &change.areas);
        let Some(class) = self.interfaces.as_ref().and_then(|of| of.class(interface)) else {
            return false;
        };
        let taken = |ruleset: &Ruleset, except: &[RuleId]| {
            let rules = except
                .iter()
                .filter_map(|id| ruleset.rules.get(id.0 as usize));
            let mut matches = rules.map(|rule| &rule.matches);
            matches.any(|wanted| evaluator::matches(wanted, fields, Some(interface)))
        };
        areas.any(|area| {
            let point = witness::point(fields, class, area.packets);
            point.is_some_and(|point| area.has_in_region(&point))
                && !taken(old, &area.except_old)
                && !taken(new, &area.except_new)
        })
    }

    /// Whether a verdict changes.
    #[must_use]
    pub fn changes_verdicts(&self) -> bool {
        self.changes.iter().any(Change::changes_verdict)
    }
}

impl Area {
    /// Whether packets that a link cannot work without are none of them, though the fields are.
    #[must_use]
    pub fn excepts_neighbors(&self) -> bool {
        !self.neighbors.is_empty()
    }

    fn has_in_region(&self, point: &Point) -> bool {
        self.region.holds(point) && !self.neighbors.iter().any(|region| region.holds(point))
    }
}

impl Change {
    /// Whether the packets have another verdict than before.
    #[must_use]
    pub fn changes_verdict(&self) -> bool {
        self.old.1 != self.new.1
    }
}
