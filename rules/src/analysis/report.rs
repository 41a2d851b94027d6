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
    context::Context,
    evaluator::{self, Fields},
    model::{RuleId, Ruleset, Verdict},
};

/// A name under which different packets are counted than before, and which only counts in at least
/// one of the rule sets.
#[derive(Clone, Debug)]
pub struct CountChange {
    /// The name.
    pub name: String,
    /// A packet that is no longer counted.
    pub lost: Option<Witness>,
    /// A packet that is newly counted.
    pub gained: Option<Witness>,
}

/// What counts as a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The verdicts.
    Verdicts,
    /// The verdicts, and the names under which a packet is counted.
    Deciders,
}

/// The differences between two rule sets.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The changes, by old and new decider.
    pub changes: Vec<Change>,
    /// The changes of `count` rules, in their order; [`Compare::Deciders`] only.
    pub counts: Vec<CountChange>,
    /// The questions that the budget did not suffice for. Apart from these, there are no other
    /// changes.
    pub undecided: Vec<Undecided>,
    pub(super) interfaces: Option<Interfaces>,
}

/// A set of packets whose decider has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The old decider and its verdict.
    pub old: (Decider, Verdict),
    /// The new decider and its verdict.
    pub new: (Decider, Verdict),
    /// Whether both rules are in both rule sets and have changed places.
    pub is_swap: bool,
    /// The packets concerned.
    pub areas: Vec<Area>,
}

/// The packets of a region without those that earlier rules match.
#[derive(Clone, Debug)]
pub struct Area {
    /// The family and direction of the packets.
    pub packets: Packets,
    /// The fields in which they differ from other packets of their family.
    pub fields: Vec<FieldValues>,
    /// The earlier rules of the old rule set that match part of them.
    pub except_old: Vec<RuleId>,
    /// The earlier rules of the new rule set that match part of them, except those that are the
    /// same as one of [`Self::except_old`].
    pub except_new: Vec<RuleId>,
    /// One of these packets.
    pub witness: Witness,
    pub(super) region: Region,
    /// The parts of the region that pass first as [`Decider::Neighbor`].
    pub(super) neighbors: Vec<Region>,
}

/// A question that was left undecided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Whether any packets of a region have moved from the old decider to the new one.
    Change {
        /// The old decider.
        old: Decider,
        /// The new decider.
        new: Decider,
        /// The family.
        packets: Packets,
        /// The region.
        fields: Vec<FieldValues>,
    },
    /// What decides the packets of this decider of the old rule set now.
    Old(Decider, Packets),
    /// What decided the packets of this decider of the new rule set before.
    New(Decider, Packets),
    /// Whether packets of the family are newly or no longer counted under this name.
    Counted(String, Packets),
    /// Everything about packets of the family.
    All(Packets),
}

/// The analysis found a packet for which the evaluator disagrees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error: the analysis and the evaluator disagree over `{0}`; please report this")]
pub struct Contradiction(pub(super) String);

impl Diff {
    /// Whether a change contains the packet.
    #[must_use]
    pub fn holds(
        &self,
        old: &Ruleset,
        new: &Ruleset,
        fields: &Fields,
        context: &Context<Option<&str>>,
    ) -> bool {
        let mut areas = self.changes.iter().flat_map(|change| &change.areas);
        let Some(interfaces) = &self.interfaces else {
            return false;
        };
        let taken = |ruleset: &Ruleset, except: &[RuleId]| {
            let rules = except
                .iter()
                .filter_map(|id| ruleset.rules.get(id.0 as usize));
            let mut matches = rules.map(|rule| &rule.matches);
            matches.any(|wanted| evaluator::matches(wanted, fields, context))
        };
        areas.any(|area| {
            let point = witness::point(fields, context, interfaces, area.packets);
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
    /// Whether packets without which a link does not work are excluded, although their fields
    /// match.
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
