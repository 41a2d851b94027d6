//! The differences between two rule sets that differ only in the members of their address sets.

use std::{collections::HashMap, sync::Arc};

use crate::{
    compiler::{
        address::{Address, Move},
        basis::SectionBasis,
        classes::{SetId, number},
        obstacle::Obstacle,
    },
    field::{AddressSet, FieldName, RangeSet},
    model::{Rule, RuleId, Ruleset},
};

/// The number of ranges that may differ, whatever the size of the sets.
const CHANGES: usize = 1024;

/// The share of the ranges of all sets that may differ in addition to [`CHANGES`]: one in this
/// many.
const CHANGES_IN: usize = 16;

/// The addresses that sets have gained or lost.
pub(super) struct Differences {
    /// The distinct differences.
    all: Vec<AddressSet>,
    /// For source and destination, the index of the difference of each rule's set, if there is one.
    of: [Vec<Option<usize>>; 2],
}

impl Differences {
    /// Compares two rule sets.
    ///
    /// # Errors
    ///
    /// [`Obstacle`] if they differ in anything but addresses, or in too many addresses.
    pub(super) fn between(old: &Ruleset, new: &Ruleset) -> Result<Self, Obstacle> {
        if old.rules.len() != new.rules.len() {
            return Err(Obstacle::Rules);
        }
        let mut found = Self {
            all: Vec::new(),
            of: [Vec::new(), Vec::new()],
        };
        let mut known = HashMap::new();
        let mut ranges = 0;
        for (old, new) in old.rules.iter().zip(&new.rules) {
            if !are_alike(old, new) {
                return Err(Obstacle::Rules);
            }
            let (old, new) = (&old.matches, &new.matches);
            for (side, old, new) in [(0, &old.src, &new.src), (1, &old.dst, &new.dst)] {
                let difference = match (old, new) {
                    (None, None) => None,
                    (Some(old), Some(new)) if Arc::ptr_eq(old, new) => None,
                    (Some(old), Some(new)) => {
                        // A large set shared by many rules is compared once.
                        let address = |set: &Arc<AddressSet>| Arc::as_ptr(set) as usize;
                        let key = (address(old), address(new));
                        match known.get(&key) {
                            Some(difference) => *difference,
                            None => {
                                ranges += len(old);
                                let difference = found.add(old, new)?;
                                known.insert(key, difference);
                                difference
                            }
                        }
                    }
                    (Some(_), None) | (None, Some(_)) => return Err(Obstacle::Rules),
                };
                found.of[side].push(difference);
            }
        }
        let changes = found.all.iter().map(len).sum();
        if changes > CHANGES + ranges / CHANGES_IN {
            return Err(Obstacle::ManyChanges { changes });
        }
        Ok(found)
    }

    fn add(&mut self, old: &AddressSet, new: &AddressSet) -> Result<Option<usize>, Obstacle> {
        // A rule is in a section only if its set has addresses of the family, and names a set there
        // only if that is not all of them.
        if !is_same_extent(&old.v4, &new.v4) || !is_same_extent(&old.v6, &new.v6) {
            return Err(Obstacle::Extent);
        }
        let difference = AddressSet {
            v4: old.v4.symmetric_difference(&new.v4),
            v6: old.v6.symmetric_difference(&new.v6),
        };
        if len(&difference) == 0 {
            return Ok(None);
        }
        self.all.push(difference);
        Ok(Some(self.all.len() - 1))
    }

    /// The moves on one side of a section, ascending and disjoint.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Parted`] if sets that were equal no longer are.
    pub(super) fn moves<A: Address>(
        &self,
        section: &SectionBasis,
        side: usize,
    ) -> Result<Vec<Move<A>>, Obstacle> {
        let mut by_set: Vec<Option<Option<&RangeSet<A>>>> = Vec::new();
        for (rule, set) in section.rules.iter().zip(&section.sides[side].named) {
            let Some(SetId(set)) = *set else {
                continue;
            };
            let set = set as usize;
            if by_set.len() <= set {
                by_set.resize(set + 1, None);
            }
            let difference = self.of_rule::<A>(side, *rule);
            if *by_set[set].get_or_insert(difference) != difference {
                return Err(Obstacle::Parted);
            }
        }
        let mut bounds = Vec::new();
        for (set, difference) in (0..).zip(by_set) {
            for &(first, last) in difference.flatten().map_or(&[][..], RangeSet::ranges) {
                bounds.push((first, number(set)));
                bounds.extend(last.next().map(|after| (after, number(set))));
            }
        }
        bounds.sort_unstable();
        let mut moves = Vec::new();
        let mut sets = 0;
        let mut starts = bounds.chunk_by(|a, b| a.0 == b.0).peekable();
        while let Some(group) = starts.next() {
            sets = group.iter().fold(sets, |sets, (_, number)| sets ^ number);
            let next = starts.peek().map(|group| group[0].0);
            if sets != 0
                && let Some(last) = next.map_or(Some(A::MAX), A::previous)
            {
                moves.push(Move {
                    first: group[0].0,
                    last,
                    sets,
                });
            }
        }
        Ok(moves)
    }

    fn of_rule<A: Address>(&self, side: usize, rule: RuleId) -> Option<&RangeSet<A>> {
        let difference = self.of[side][rule.0 as usize]?;
        Some(A::of(&self.all[difference])).filter(|set| !set.is_empty())
    }
}

/// The number of ranges of both families.
fn len(set: &AddressSet) -> usize {
    let AddressSet { v4, v6 } = set;
    v4.ranges().len() + v6.ranges().len()
}

/// Whether two rules differ at most in the members of their address sets, as far as the image
/// depends on them: counter slots stand for names.
fn are_alike(old: &Rule, new: &Rule) -> bool {
    let mut fields = FieldName::ALL.iter();
    old.direction == new.direction
        && old.action == new.action
        && old.log.is_some() == new.log.is_some()
        && fields.all(|field| {
            matches!(field, FieldName::Src | FieldName::Dst)
                || old.matches.agrees(&new.matches, *field)
        })
}

/// Whether both sets or neither are empty, and both or neither hold every address.
fn is_same_extent<A: Address>(old: &RangeSet<A>, new: &RangeSet<A>) -> bool {
    old.is_empty() == new.is_empty() && old.is_full() == new.is_full()
}
