//! Finds rules that no packet reaches.

use std::collections::BTreeSet;

use super::{
    axis::NetworkProtocol,
    axis::{Packets, kinds},
    budget::{Budget, Exhausted},
    cube::{Cube, Pool},
    interfaces::Interfaces,
    overlaps::Overlaps,
    region::Region,
    search::Search,
};
use crate::model::{RuleAction, RuleId, Ruleset};

/// The maximum number of rules in an explanation from which unneeded ones are removed, one by one.
const MOST_EXPLAINED: usize = 64;

/// A rule that no packet reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// The rule.
    pub rule: RuleId,
    /// The earlier rules that together match all packets that would match it; empty if no packet
    /// can match it.
    pub by: Vec<RuleId>,
}

/// The result of the search for unreached rules in a rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The rules that no packet reaches, in order.
    pub unreached: Vec<Unreached>,
    /// The rules for which the budget did not suffice.
    pub undecided: Vec<RuleId>,
}

/// Finds the rules that no packet reaches, as far as the budget allows.
#[must_use]
pub fn unreached(ruleset: &Ruleset, budget: &mut Budget) -> Reach {
    let Ok(interfaces) = Interfaces::new(&[ruleset], budget) else {
        return Reach {
            unreached: Vec::new(),
            undecided: ruleset.iter().map(|(id, _)| id).collect(),
        };
    };
    let mut found: Vec<Found> = vec![Found::NoPacket; ruleset.rules.len()];
    for packets in Packets::of(&[ruleset]) {
        if packets.network == NetworkProtocol::Ipv4 && interfaces.has_too_many_options() {
            found.fill(Found::Undecided);
            continue;
        }
        let mut pool = Pool::new();
        let cubes = ruleset
            .rules
            .iter()
            .map(|rule| pool.cube(rule, packets, &interfaces));
        let cubes: Vec<Option<Cube>> = cubes.collect();
        let rules: Vec<usize> = (0..cubes.len())
            .filter(|rule| cubes[*rule].is_some())
            .collect();
        let cubes: Vec<Cube> = cubes.into_iter().flatten().collect();
        let decides = |at: &usize| ruleset.rules[rules[*at]].action != RuleAction::Count;
        let kinds = kinds(packets, &interfaces).into_iter().map(Region::new);
        let mut questions = ShadowQuestions {
            kinds: kinds.collect(),
            overlaps: Overlaps::new(cubes.iter(), &pool),
            search: Search::new(&pool),
            pool: &pool,
            cubes: &cubes,
            decides: (0..cubes.len()).map(|at| decides(&at)).collect(),
        };
        for (at, rule) in rules.iter().enumerate() {
            let found = &mut found[*rule];
            if matches!(found, Found::Reached | Found::Undecided) {
                continue;
            }
            let answer = budget.within(|budget| questions.answer(at, budget));
            found.add(answer, |at| {
                RuleId(u32::try_from(rules[at]).unwrap_or(u32::MAX))
            });
        }
    }
    let mut reach = Reach::default();
    for ((id, _), found) in ruleset.iter().zip(found) {
        match found {
            Found::Reached => {}
            Found::Undecided => reach.undecided.push(id),
            Found::NoPacket => reach.unreached.push(Unreached {
                rule: id,
                by: Vec::new(),
            }),
            Found::Taken(by) => reach.unreached.push(Unreached {
                rule: id,
                by: by.into_iter().collect(),
            }),
        }
    }
    reach
}

/// What is known about a rule after some families of packets.
#[derive(Clone, Debug)]
enum Found {
    /// No packet of these families matches it.
    NoPacket,
    /// Earlier rules match all packets that would match it.
    Taken(BTreeSet<RuleId>),
    /// A packet reaches it.
    Reached,
    /// The budget did not suffice.
    Undecided,
}

impl Found {
    /// Adds the answer for a family.
    fn add(&mut self, answer: Result<Answer, Exhausted>, id: impl Fn(usize) -> RuleId) {
        match answer {
            Err(Exhausted) => *self = Self::Undecided,
            Ok(Answer::Reached) => *self = Self::Reached,
            Ok(Answer::NoPacket) => {}
            Ok(Answer::Taken(rules)) => {
                if let Self::NoPacket = self {
                    *self = Self::Taken(BTreeSet::new());
                }
                if let Self::Taken(by) = self {
                    by.extend(rules.into_iter().map(id));
                }
            }
        }
    }
}

/// The answer about a rule for one family.
enum Answer {
    NoPacket,
    Taken(Vec<usize>),
    Reached,
}

struct ShadowQuestions<'a> {
    kinds: Vec<Region>,
    overlaps: Overlaps,
    search: Search<'a>,
    pool: &'a Pool,
    cubes: &'a [Cube],
    /// For each rule, whether it decides rather than only counts.
    decides: Vec<bool>,
}

impl ShadowQuestions<'_> {
    fn answer(&mut self, at: usize, budget: &mut Budget) -> Result<Answer, Exhausted> {
        let region = Region::of_cube(&self.cubes[at], self.pool);
        if !self.kinds.iter().any(|kind| region.common(kind).is_some()) {
            return Ok(Answer::NoPacket);
        }
        let mut steps = 0;
        let mut before = self.overlaps.of(&region, at, &mut steps);
        budget.spend(steps)?;
        before.retain(|rule| self.decides[*rule]);
        let taking = self
            .search
            .overlapping(&region, before, self.cubes, budget)?;
        if let Some((rule, _)) = taking.iter().find(|(_, partial)| partial.is_none()) {
            return Ok(Answer::Taken(vec![*rule]));
        }
        let before: Vec<usize> = taking.into_iter().map(|(rule, _)| rule).collect();
        let mut used = Vec::new();
        if self.is_left(&region, &before, &mut used, budget)? {
            return Ok(Answer::Reached);
        }
        used.sort_unstable();
        used.dedup();
        Ok(Answer::Taken(self.needed(&region, used, budget)))
    }

    fn is_left(
        &mut self,
        region: &Region,
        rules: &[usize],
        used: &mut Vec<usize>,
        budget: &mut Budget,
    ) -> Result<bool, Exhausted> {
        let left = self
            .search
            .left_over(region, &self.kinds, rules, self.cubes, used, budget)?;
        Ok(left.is_some())
    }

    /// A subset of the rules that still matches all of the region, and would not without any one of
    /// them; it may be larger if there are many rules or the budget is short.
    fn needed(&mut self, region: &Region, rules: Vec<usize>, budget: &mut Budget) -> Vec<usize> {
        let mut needed = rules;
        if needed.len() > MOST_EXPLAINED {
            return needed;
        }
        // The last first, so that the explanation prefers rules at the top of the file.
        for at in (0..needed.len()).rev() {
            let mut fewer = needed.clone();
            fewer.remove(at);
            if let Ok(false) = self.is_left(region, &fewer, &mut Vec::new(), budget) {
                needed = fewer;
            }
        }
        needed
    }
}
