//! Regions: sets of packets given by a set of values on each axis.

use std::sync::Arc;

use super::{
    axis::{AXES, Axis},
    cube::{Cube, CubeSet, Pool},
    values::{Relation, Values, common, relation, without},
};

/// The set of packets whose value on each axis is in the set of that axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region([Arc<Values>; AXES]);

impl Region {
    /// The packets that a rule matches.
    pub(super) fn of_cube(cube: &Cube, pool: &Pool) -> Self {
        Self(cube.map(|id| Arc::clone(pool.set(id))))
    }

    /// The packets with these values.
    pub(super) fn new(values: [Values; AXES]) -> Self {
        Self(values.map(Arc::new))
    }

    /// The values on an axis.
    pub(super) fn values(&self, axis: Axis) -> &Values {
        &self.0[axis as usize]
    }

    /// The packets in both; `None` when there are none.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        for (mine, theirs) in both.0.iter_mut().zip(&other.0) {
            if Arc::ptr_eq(mine, theirs) || theirs.is_full() {
                continue;
            }
            if mine.is_full() {
                *mine = Arc::clone(theirs);
                continue;
            }
            // Long lists stay shared with the pool.
            match relation(mine, theirs) {
                Relation::Covered => {}
                Relation::Disjoint => return None,
                Relation::Partial => *mine = Arc::new(common(mine, theirs)),
            }
        }
        Some(both)
    }

    /// Whether both have a value in common on every axis except this one.
    pub(super) fn meets_beside(&self, axis: Axis, other: &Self) -> bool {
        let mut others = Axis::ALL.into_iter().filter(|of| *of != axis);
        others.all(|of| relation(other.values(of), self.values(of)) != Relation::Disjoint)
    }

    /// The part of the region that the rule matches; `None` if it is empty.
    pub(super) fn within(&self, cube: &Cube, pool: &Pool) -> Option<Self> {
        self.common(&Self::of_cube(cube, pool))
    }

    /// The region without the values that the rule has on one axis; `None` when nothing is left.
    pub(super) fn outside(&self, axis: Axis, id: CubeSet, pool: &Pool) -> Option<Self> {
        self.without(axis, pool.set(id))
    }

    /// The region without some values on one axis; `None` when nothing is left.
    pub(super) fn without(&self, axis: Axis, values: &Values) -> Option<Self> {
        self.narrowed(axis, without(self.values(axis), values))
    }

    /// The region with the values that the rule has on one axis; `None` when nothing is left.
    pub(super) fn inside(&self, axis: Axis, id: CubeSet, pool: &Pool) -> Option<Self> {
        self.narrowed(axis, common(self.values(axis), pool.set(id)))
    }

    fn narrowed(&self, axis: Axis, values: Values) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mut narrowed = self.clone();
        narrowed.0[axis as usize] = Arc::new(values);
        Some(narrowed)
    }

    /// The part of the region that the rule does not match, as disjoint regions.
    pub(super) fn less(&self, cube: &Cube, pool: &Pool) -> Vec<Self> {
        let mut left = Vec::new();
        let mut rest = self.clone();
        for axis in Axis::ALL {
            let id = cube[axis as usize];
            if id == CubeSet::ALL {
                continue;
            }
            left.extend(rest.outside(axis, id, pool));
            match rest.inside(axis, id, pool) {
                Some(inside) => rest = inside,
                None => return vec![self.clone()],
            }
        }
        left
    }

    /// Whether a packet with these values is in the region.
    pub(super) fn holds(&self, point: &Point) -> bool {
        self.0
            .iter()
            .zip(point)
            .all(|(values, value)| values.contains(*value))
    }

    /// The total number of ranges on all axes.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|values| values.ranges().len()).sum()
    }

    /// The lowest and the highest value on an axis.
    pub(super) fn bounds(&self, axis: Axis) -> (u128, u128) {
        let ranges = self.values(axis).ranges();
        match (ranges.first(), ranges.last()) {
            (Some((first, _)), Some((_, last))) => (*first, *last),
            _ => (u128::MAX, 0),
        }
    }
}

/// The values of one packet.
pub(super) type Point = [u128; AXES];

/// On which axes a rule takes only a part of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partial(u32);

impl Partial {
    /// Whether the rule takes all of the region.
    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The number of axes.
    pub(super) const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The axes.
    pub(super) fn axes(self) -> impl Iterator<Item = Axis> {
        Axis::ALL
            .into_iter()
            .filter(move |axis| self.0 & 1 << *axis as u32 != 0)
    }
}

/// The relations between the sets of rules and the sets of one region at a time, each computed
/// once.
#[derive(Debug)]
pub(super) struct Relations {
    turn: u32,
    /// By axis and set: the turn in which the relation was computed, and the relation.
    known: Vec<[(u32, Relation); AXES]>,
}

impl Relations {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            turn: 0,
            known: vec![[(0, Relation::Covered); AXES]; pool.len()],
        }
    }

    /// Starts with another region.
    pub(super) fn begin(&mut self) {
        self.turn += 1;
    }

    /// On which axes the rule takes only a part of the region; `None` when it takes nothing. Adds
    /// the steps that this took.
    pub(super) fn partial(
        &mut self,
        region: &Region,
        cube: &Cube,
        pool: &Pool,
        steps: &mut usize,
    ) -> Option<Partial> {
        *steps += 1;
        let mut partial = 0;
        for axis in Axis::ALL {
            let id = cube[axis as usize];
            if id == CubeSet::ALL {
                continue;
            }
            let known = &mut self.known[id.index()][axis as usize];
            if known.0 != self.turn {
                let (mine, theirs) = (region.values(axis), pool.set(id));
                *steps += mine.ranges().len().min(theirs.ranges().len()) / 8;
                *known = (self.turn, relation(mine, theirs));
            }
            match known.1 {
                Relation::Disjoint => return None,
                Relation::Covered => {}
                Relation::Partial => partial |= 1 << axis as u32,
            }
        }
        Some(Partial(partial))
    }
}
