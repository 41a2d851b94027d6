//! Changes in what `count` rules count.
//!
//! A packet is counted under the name of a matching rule unless an earlier rule decides. So a
//! packet is no longer counted if the rule has stopped matching it, or if an earlier rule has
//! started to take it.

use std::collections::HashMap;

use super::{
    axis::{Packets, kinds},
    budget::{Budget, Exhausted},
    cube::{Cube, Pool},
    interfaces::Interfaces,
    overlaps::Overlaps,
    region::{Point, Region},
    report::{Contradiction, CountChange, Undecided},
    search::Search,
    section::{Decider, Section},
    witness::Witness,
};
use crate::{
    evaluator::{Outcome, classify},
    model::{RuleAction, RuleId, Ruleset},
};

/// The rules of one name that only count in at least one of the rule sets.
pub(super) struct Counting<'a> {
    name: &'a str,
    rules: [Option<RuleId>; 2],
    lost: Option<Witness>,
    gained: Option<Witness>,
}

/// The names to ask about, each once; `named` are the rules of both sides by name.
pub(super) fn all<'a>(
    rulesets: [&'a Ruleset; 2],
    named: &[HashMap<&'a str, RuleId>; 2],
) -> Vec<Counting<'a>> {
    let [old, new] = rulesets;
    let counts = |id: RuleId, set: &Ruleset| {
        let rule = set.rules.get(id.0 as usize);
        rule.is_some_and(|rule| rule.action == RuleAction::Count)
    };
    let names = |set: &'a Ruleset| set.rules.iter().map(|rule| rule.name.as_str());
    let only_new = names(new).filter(|name| !named[0].contains_key(name));
    names(old)
        .chain(only_new)
        .map(|name| Counting {
            name,
            rules: [0, 1].map(|side| named[side].get(name).copied()),
            lost: None,
            gained: None,
        })
        .filter(|of| (0..2).any(|side| of.rules[side].is_some_and(|id| counts(id, rulesets[side]))))
        .collect()
}

/// The changes found.
pub(super) fn changes(all: Vec<Counting<'_>>) -> Vec<CountChange> {
    let changed = all
        .into_iter()
        .filter(|of| of.lost.is_some() || of.gained.is_some());
    changed
        .map(|of| CountChange {
            name: of.name.to_owned(),
            lost: of.lost,
            gained: of.gained,
        })
        .collect()
}

/// The packets of one family that the rules of one name match, by side; `None` if there are none.
pub(super) type Cubes = [Option<Cube>; 2];

/// The packets that the rules of one name match.
pub(super) fn cubes(
    of: &Counting<'_>,
    rulesets: [&Ruleset; 2],
    packets: Packets,
    interfaces: &Interfaces,
    pool: &mut Pool,
) -> Cubes {
    [0, 1].map(|side| {
        let rule = rulesets[side].rules.get(of.rules[side]?.0 as usize)?;
        pool.cube(rule, packets, interfaces)
    })
}

/// Two sections, and the state needed to answer questions about them.
pub(super) struct Questions<'a> {
    rulesets: [&'a Ruleset; 2],
    packets: Packets,
    interfaces: &'a Interfaces,
    pool: &'a Pool,
    sections: &'a [Section; 2],
    kinds: Vec<Region>,
    overlaps: [Overlaps; 2],
    /// By side: the position of the decider that takes these packets.
    places: [HashMap<Cube, usize>; 2],
    search: Search<'a>,
}

impl<'a> Questions<'a> {
    pub(super) fn new(
        rulesets: [&'a Ruleset; 2],
        packets: Packets,
        interfaces: &'a Interfaces,
        pool: &'a Pool,
        sections: &'a [Section; 2],
    ) -> Self {
        let kinds = kinds(packets, interfaces).into_iter();
        let [old, new] = sections;
        Self {
            rulesets,
            packets,
            interfaces,
            pool,
            sections,
            kinds: kinds.map(Region::new).collect(),
            overlaps: [old, new].map(|section| Overlaps::new(section.cubes.iter(), pool)),
            places: [old, new].map(|section| section.cubes.iter().copied().zip(0..).collect()),
            search: Search::new(pool),
        }
    }

    /// Finds what is no longer counted under a name, and what is newly counted.
    pub(super) fn ask(
        &mut self,
        of: &mut Counting<'_>,
        cubes: &Cubes,
        budget: &mut Budget,
        undecided: &mut Vec<Undecided>,
    ) -> Result<(), Contradiction> {
        let mut is_open = false;
        for side in [0, 1] {
            let known = if side == 0 { &of.lost } else { &of.gained };
            if known.is_some() {
                continue;
            }
            match budget.within(|budget| self.only_on(side, of, cubes, budget)) {
                Ok(None) => {}
                Ok(Some(point)) => {
                    let witness = Some(self.witness(side, of, &point)?);
                    if side == 0 {
                        of.lost = witness;
                    } else {
                        of.gained = witness;
                    }
                }
                Err(Exhausted) => is_open = true,
            }
        }
        if is_open {
            undecided.push(Undecided::Counted(of.name.to_owned(), self.packets));
        }
        Ok(())
    }

    /// A packet that is counted on this side and not on the other.
    fn only_on(
        &mut self,
        side: usize,
        of: &Counting<'_>,
        cubes: &Cubes,
        budget: &mut Budget,
    ) -> Result<Option<Point>, Exhausted> {
        let other = 1 - side;
        let Some(cube) = &cubes[side] else {
            return Ok(None);
        };
        let region = Region::of_cube(cube, self.pool);
        let limit = self.limit(side, of);
        let Some(before) = self.taking(side, &region, limit, budget)? else {
            return Ok(None);
        };
        let mut regions = Vec::new();
        match &cubes[other] {
            None => regions.push(region),
            Some(other_cube) => {
                budget.spend(region.size() / 8 + 1)?;
                regions.extend(region.less(other_cube, self.pool));
                if let Some(both) = region.within(other_cube, self.pool) {
                    regions.extend(self.taken_only_on(other, &both, of, budget)?);
                }
            }
        }
        for region in regions {
            let point = self.search.left_over(
                &region,
                &self.kinds,
                &before,
                &self.sections[side].cubes,
                &mut Vec::new(),
                budget,
            )?;
            if point.is_some() {
                return Ok(point);
            }
        }
        Ok(None)
    }

    /// The part of a region that is decided before the rule on this side, except for what deciders
    /// take that also precede the rule on the other side.
    fn taken_only_on(
        &mut self,
        side: usize,
        region: &Region,
        of: &Counting<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<Region>, Exhausted> {
        let (limit, other_limit) = (self.limit(side, of), self.limit(1 - side, of));
        let Some(takers) = self.taking(side, region, limit, budget)? else {
            return Ok(vec![region.clone()]);
        };
        let cubes = &self.sections[side].cubes;
        let is_elsewhere = |cube: &Cube| {
            let place = self.places[1 - side].get(cube);
            place.is_some_and(|place| *place < other_limit)
        };
        let cubes = takers.into_iter().map(|taker| &cubes[taker]);
        let cubes = cubes.filter(|cube| !is_elsewhere(cube));
        Ok(cubes
            .filter_map(|cube| region.within(cube, self.pool))
            .collect())
    }

    /// The deciders that take part of a region before the rule; `None` when one takes all of it.
    fn taking(
        &mut self,
        side: usize,
        region: &Region,
        limit: usize,
        budget: &mut Budget,
    ) -> Result<Option<Vec<usize>>, Exhausted> {
        let mut steps = 0;
        let near = self.overlaps[side].of(region, limit, &mut steps);
        budget.spend(steps)?;
        let cubes = &self.sections[side].cubes;
        let taking = self.search.overlapping(region, near, cubes, budget)?;
        if taking.iter().any(|(_, partial)| partial.is_none()) {
            return Ok(None);
        }
        Ok(Some(taking.into_iter().map(|(taker, _)| taker).collect()))
    }

    /// The number of deciders before the rule.
    fn limit(&self, side: usize, of: &Counting<'_>) -> usize {
        let deciders = &self.sections[side].deciders;
        deciders.partition_point(|(decider, _)| match (decider, of.rules[side]) {
            (Decider::Rule(id), Some(rule)) => *id < rule,
            (Decider::Rule(_), None)
            | (Decider::Neighbor | Decider::Policy(_) | Decider::UnknownEthertype(_), _) => false,
        })
    }

    /// The packet, if the evaluator confirms that it is counted on this side only.
    fn witness(
        &self,
        side: usize,
        of: &Counting<'_>,
        point: &Point,
    ) -> Result<Witness, Contradiction> {
        let witness = Witness::new(self.packets, point, self.interfaces);
        let is_counted = [0, 1].map(|side| {
            let classified = classify(self.rulesets[side], &witness.fields(), &witness.named());
            of.rules[side].is_some_and(|id| {
                classified.outcome == Outcome::Rule(id) || classified.counted.contains(&id)
            })
        });
        if is_counted[side] && !is_counted[1 - side] {
            Ok(witness)
        } else {
            Err(Contradiction(witness.to_string()))
        }
    }
}
