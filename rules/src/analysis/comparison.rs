//! The questions that determine what changes between two sections, and their answers.

use std::collections::HashMap;

use super::{
    axis::{Packets, kinds},
    budget::{Budget, Exhausted},
    cube::{Cube, Pool},
    describe::describe,
    interfaces::Interfaces,
    overlaps::Overlaps,
    region::{Point, Region},
    report::{Area, Change, Compare, Contradiction, Undecided},
    search::Search,
    section::{Decider, Section},
    twins::twins,
    witness::Witness,
};
use crate::{
    evaluator::classify,
    model::{RuleId, Ruleset, Verdict},
};

/// The index of the old side.
const OLD: usize = 0;
const NEW: usize = 1;

/// The inputs of a comparison.
pub(super) struct Inputs<'a> {
    pub(super) rulesets: [&'a Ruleset; 2],
    /// The rules of each side by name.
    pub(super) named: &'a [HashMap<&'a str, RuleId>; 2],
    pub(super) packets: Packets,
    pub(super) compare: Compare,
    pub(super) interfaces: &'a Interfaces,
    pub(super) pool: &'a Pool,
    pub(super) sections: &'a [Section; 2],
}

/// The comparison of two sections.
pub(super) struct Comparison<'a> {
    inputs: Inputs<'a>,
    /// The possible packets, by kind.
    kinds: Vec<Region>,
    /// The cubes of both sections: those of the old one, then those of the new one.
    cubes: Vec<Cube>,
    /// By side: the index of the twin on the other side.
    twins: [Vec<Option<usize>>; 2],
    overlaps: [Overlaps; 2],
    search: Search<'a>,
}

/// The changes by old and new decider.
pub(super) type Changes = HashMap<(Decider, Decider), Change>;

/// The question whether packets of the region are decided by these deciders on the old and on the
/// new side.
struct Question {
    at: [usize; 2],
    region: Region,
}

/// A packet for which the answer is yes, and by side the deciders that take part of the region
/// first.
type Proof = (Point, [Vec<usize>; 2]);

/// Why a comparison ends early.
enum Stop {
    Exhausted,
    Contradiction(Contradiction),
}

impl From<Exhausted> for Stop {
    fn from(Exhausted: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(inputs: Inputs<'a>) -> Self {
        let [old, new] = inputs.sections;
        let (of_old, of_new) = twins(&identities(&inputs, OLD), &identities(&inputs, NEW));
        let kinds = kinds(inputs.packets, inputs.interfaces).into_iter();
        Self {
            kinds: kinds.map(Region::new).collect(),
            cubes: old.cubes.iter().chain(&new.cubes).copied().collect(),
            twins: [of_old, of_new],
            overlaps: [old, new].map(|section| Overlaps::new(section.cubes.iter(), inputs.pool)),
            search: Search::new(inputs.pool),
            inputs,
        }
    }

    /// Answers all questions.
    pub(super) fn run(
        mut self,
        budget: &mut Budget,
        changes: &mut Changes,
        undecided: &mut Vec<Undecided>,
    ) -> Result<(), Contradiction> {
        for side in [OLD, NEW] {
            let partners = self.partners(side);
            for (at, partner) in (0..).zip(partners) {
                if self.twins[side][at].is_some() {
                    continue;
                }
                match self.ask(side, at, partner, budget, changes, undecided) {
                    Ok(()) => {}
                    Err(Stop::Contradiction(contradiction)) => return Err(contradiction),
                    Err(Stop::Exhausted) => {
                        let decider = self.decider(side, at).0;
                        let packets = self.inputs.packets;
                        undecided.push(match side {
                            OLD => Undecided::Old(decider, packets),
                            _ => Undecided::New(decider, packets),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn decider(&self, side: usize, at: usize) -> (Decider, Verdict) {
        self.inputs.sections[side].deciders[at]
    }

    /// For each decider of a side without a twin, the decider of the other side that has the same
    /// name and no twin either.
    fn partners(&self, side: usize) -> Vec<Option<usize>> {
        let name = |side: usize, at: usize| match self.decider(side, at).0 {
            Decider::Rule(id) => {
                let rule = self.inputs.rulesets[side].rules.get(id.0 as usize);
                rule.map(|rule| rule.name.as_str())
            }
            Decider::Neighbor | Decider::Policy(_) | Decider::UnknownEthertype(_) => None,
        };
        let other = 1 - side;
        let alone = |side: usize| {
            let twins = (0..).zip(&self.twins[side]);
            twins.filter(|(_, twin)| twin.is_none()).map(|(at, _)| at)
        };
        let named = alone(other).filter_map(|at| Some((name(other, at)?, at)));
        let named: HashMap<&str, usize> = named.collect();
        let mut partners = vec![None; self.twins[side].len()];
        for at in alone(side) {
            partners[at] = name(side, at).and_then(|name| named.get(name).copied());
        }
        partners
    }

    /// Answers all questions about one decider.
    fn ask(
        &mut self,
        side: usize,
        at: usize,
        partner: Option<usize>,
        budget: &mut Budget,
        changes: &mut Changes,
        undecided: &mut Vec<Undecided>,
    ) -> Result<(), Stop> {
        for question in self.questions(side, at, partner, budget)? {
            match budget.within(|budget| self.answer(&question, budget)) {
                Ok(None) => {}
                Ok(Some((point, except))) => {
                    self.keep(question, &point, except, changes)
                        .map_err(Stop::Contradiction)?;
                }
                Err(Exhausted) if budget.is_spent() => return Err(Stop::Exhausted),
                Err(Exhausted) => undecided.push(self.left_open(&question)),
            }
        }
        Ok(())
    }

    /// The questions about one decider, each with a different decider of the other side.
    fn questions(
        &mut self,
        side: usize,
        at: usize,
        partner: Option<usize>,
        budget: &mut Budget,
    ) -> Result<Vec<Question>, Exhausted> {
        let pool = self.inputs.pool;
        let cube = self.inputs.sections[side].cubes[at];
        let whole = Region::of_cube(&cube, pool);
        let behind = self.inputs.sections[1 - side].len();
        // Apart from the rule of the same name, only packets that it does not take matter: of a
        // list with a million addresses, the few that have changed.
        let Some(partner) = partner else {
            return self.questions_of(side, at, &whole, 0..behind, budget);
        };
        let other = self.inputs.sections[1 - side].cubes[partner];
        budget.spend(whole.size() / 8 + 1)?;
        let mut questions = self.questions_of(side, at, &whole, 0..partner + 1, budget)?;
        for piece in whole.less(&other, pool) {
            questions.extend(self.questions_of(side, at, &piece, partner + 1..behind, budget)?);
        }
        Ok(questions)
    }

    fn questions_of(
        &mut self,
        side: usize,
        at: usize,
        region: &Region,
        others: std::ops::Range<usize>,
        budget: &mut Budget,
    ) -> Result<Vec<Question>, Exhausted> {
        let other_side = 1 - side;
        let mut steps = 0;
        let near = self.overlaps[other_side].of(region, others.end, &mut steps);
        budget.spend(steps)?;
        let first_cube = self.first_cube(other_side);
        let possible = near
            .into_iter()
            .filter(|other| others.contains(other) && self.can_pair(side, at, *other));
        let possible: Vec<usize> = possible.map(|other| first_cube + other).collect();
        let mut questions = Vec::new();
        for (index, partial) in self
            .search
            .overlapping(region, possible, &self.cubes, budget)?
        {
            let other = index - first_cube;
            if self.is_change(side, at, other)
                && let Some(region) = region.within(&self.cubes[index], self.inputs.pool)
            {
                let at = if side == OLD {
                    [at, other]
                } else {
                    [other, at]
                };
                questions.push(Question { at, region });
            }
            if partial.is_none() {
                break;
            }
        }
        Ok(questions)
    }

    /// Whether the order of twins allows a packet to have both deciders. Pairs without a twin on
    /// either side are asked about from the old side.
    fn can_pair(&self, side: usize, at: usize, other: usize) -> bool {
        match self.twins[1 - side][other] {
            None => side == OLD,
            Some(twin) => twin > at,
        }
    }

    fn is_change(&self, side: usize, at: usize, other: usize) -> bool {
        let (mine, theirs) = (self.decider(side, at), self.decider(1 - side, other));
        mine.1 != theirs.1
            || match self.inputs.compare {
                Compare::Verdicts => false,
                Compare::Deciders => {
                    self.inputs.name(side, mine.0) != self.inputs.name(1 - side, theirs.0)
                }
            }
    }

    const fn first_cube(&self, side: usize) -> usize {
        if side == OLD {
            0
        } else {
            self.twins[OLD].len()
        }
    }

    /// A packet for which the answer is yes, and the deciders that take part of the region first:
    /// all of the old side, and those of the new side without a twin among them.
    fn answer(
        &mut self,
        question: &Question,
        budget: &mut Budget,
    ) -> Result<Option<Proof>, Exhausted> {
        let mut steps = 0;
        let before = [OLD, NEW]
            .map(|side| self.overlaps[side].of(&question.region, question.at[side], &mut steps));
        budget.spend(steps)?;
        let [old, new] = before;
        let new = new
            .into_iter()
            .filter(|at| self.twins[NEW][*at].is_none_or(|twin| twin >= question.at[OLD]));
        let first_new = self.first_cube(NEW);
        let rules: Vec<usize> = old
            .into_iter()
            .chain(new.map(|at| first_new + at))
            .collect();
        let taking = self
            .search
            .overlapping(&question.region, rules, &self.cubes, budget)?;
        if taking.iter().any(|(_, partial)| partial.is_none()) {
            return Ok(None);
        }
        let rules: Vec<usize> = taking.into_iter().map(|(rule, _)| rule).collect();
        let point = self.search.left_over(
            &question.region,
            &self.kinds,
            &rules,
            &self.cubes,
            &mut Vec::new(),
            budget,
        )?;
        Ok(point.map(|point| {
            let (old, new): (Vec<usize>, Vec<usize>) =
                rules.into_iter().partition(|rule| *rule < first_new);
            let new = new.into_iter().map(|rule| rule - first_new).collect();
            (point, [old, new])
        }))
    }

    /// Keeps a change if the evaluator confirms it.
    fn keep(
        &self,
        question: Question,
        point: &Point,
        except: [Vec<usize>; 2],
        changes: &mut Changes,
    ) -> Result<(), Contradiction> {
        let Inputs {
            rulesets,
            packets,
            interfaces,
            ..
        } = self.inputs;
        let witness = Witness::new(packets, point, interfaces);
        let deciders = [OLD, NEW].map(|side| self.decider(side, question.at[side]));
        for side in [OLD, NEW] {
            let classified = classify(rulesets[side], &witness.fields(), &witness.named());
            let (decider, verdict) = deciders[side];
            if (classified.outcome, classified.verdict) != (decider.outcome(), verdict) {
                return Err(Contradiction(witness.to_string()));
            }
        }
        let [old, new] = deciders;
        let [except_old, except_new] = [OLD, NEW].map(|side| {
            let rules = except[side].iter().map(|at| self.decider(side, *at).0);
            let ids = rules.filter_map(|decider| match decider {
                Decider::Rule(id) => Some(id),
                Decider::Neighbor | Decider::Policy(_) | Decider::UnknownEthertype(_) => None,
            });
            ids.collect()
        });
        let fields = describe(&question.region, packets, &self.kinds, interfaces);
        let neighbors = [OLD, NEW].into_iter().flat_map(|side| {
            let rules = except[side].iter().map(move |at| (side, *at));
            rules.filter(|(side, at)| self.decider(*side, *at).0 == Decider::Neighbor)
        });
        let neighbors = neighbors.map(|(side, at)| {
            Region::of_cube(&self.inputs.sections[side].cubes[at], self.inputs.pool)
        });
        let neighbors = neighbors.collect();
        let change = changes.entry((old.0, new.0)).or_insert_with(|| Change {
            old,
            new,
            is_swap: self.inputs.is_swap(old.0, new.0),
            areas: Vec::new(),
        });
        change.areas.push(Area {
            packets,
            fields,
            except_old,
            except_new,
            witness,
            region: question.region,
            neighbors,
        });
        Ok(())
    }

    fn left_open(&self, question: &Question) -> Undecided {
        let Inputs {
            packets,
            interfaces,
            ..
        } = self.inputs;
        Undecided::Change {
            old: self.decider(OLD, question.at[OLD]).0,
            new: self.decider(NEW, question.at[NEW]).0,
            packets,
            fields: describe(&question.region, packets, &self.kinds, interfaces),
        }
    }
}

impl Inputs<'_> {
    fn name(&self, side: usize, decider: Decider) -> Name<'_> {
        match decider {
            Decider::Rule(id) => {
                let rule = self.rulesets[side].rules.get(id.0 as usize);
                Name::Rule(rule.map_or("", |rule| rule.name.as_str()))
            }
            Decider::Neighbor => Name::Neighbor,
            Decider::Policy(_) => Name::Policy,
            Decider::UnknownEthertype(_) => Name::UnknownEthertype,
        }
    }

    /// Whether both are rules of both rule sets whose order has changed.
    fn is_swap(&self, old: Decider, new: Decider) -> bool {
        let (Decider::Rule(old), Decider::Rule(new)) = (old, new) else {
            return false;
        };
        let place = |side: usize, name: &str| self.named[side].get(name).copied();
        let named = |side: usize, id: RuleId| {
            let rule = self.rulesets[side].rules.get(id.0 as usize);
            rule.map(|rule| rule.name.as_str())
        };
        let (Some(old_name), Some(new_name)) = (named(OLD, old), named(NEW, new)) else {
            return false;
        };
        let (then, now) = (place(OLD, new_name), place(NEW, old_name));
        then.is_some_and(|then| old < then) && now.is_some_and(|now| new < now)
    }
}

/// The name under which packets are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name<'a> {
    Rule(&'a str),
    Neighbor,
    Policy,
    UnknownEthertype,
}

/// The identity by which deciders of both sides are the same.
fn identities<'c>(inputs: &'c Inputs<'_>, side: usize) -> Vec<(Cube, bool, Option<Name<'c>>)> {
    let section = &inputs.sections[side];
    let deciders = section.cubes.iter().zip(&section.deciders);
    deciders
        .map(|(cube, (decider, verdict))| {
            let name = match inputs.compare {
                Compare::Verdicts => None,
                Compare::Deciders => Some(inputs.name(side, *decider)),
            };
            (*cube, *verdict == Verdict::Pass, name)
        })
        .collect()
}
