//! Finds the rules that may overlap a region without testing each rule.

use super::{
    axis::Axis,
    cube::{Cube, Pool},
    region::Region,
};

/// The axes on which most rules differ.
const BY: [Axis; 3] = [Axis::Dst, Axis::Src, Axis::Dport];

/// The number of children of a node.
const WIDTH: usize = 16;

/// The lowest and highest value on each axis of [`BY`].
type Hull = [(u128, u128); BY.len()];

/// A tree of the rules by the hulls of their addresses and ports: an R-tree, packed by sorting.
#[derive(Debug)]
pub(super) struct Overlaps {
    /// The hull and the index of each rule, in the order of the leaves.
    rules: Vec<(Hull, u32)>,
    /// The hulls of each [`WIDTH`] of the level below, the lowest level first.
    levels: Vec<Vec<Hull>>,
}

impl Overlaps {
    pub(super) fn new<'a>(cubes: impl Iterator<Item = &'a Cube>, pool: &Pool) -> Self {
        let mut rules: Vec<(Hull, u32)> = (0..)
            .zip(cubes)
            .map(|(index, cube)| (hull(&Region::of_cube(cube, pool)), index))
            .collect();
        // Rules of similar extent are grouped; otherwise a single wide rule would make its node
        // wide.
        rules.sort_by_cached_key(|(hull, index)| {
            let extents = hull.map(|(first, last)| (last - first).leading_zeros() / 16);
            (extents, hull.map(|(first, _)| first), *index)
        });
        let mut levels = Vec::new();
        let mut below: Vec<Hull> = rules.iter().map(|(hull, _)| *hull).collect();
        while below.len() > 1 {
            below = below.chunks(WIDTH).map(around).collect();
            levels.push(below.clone());
        }
        Self { rules, levels }
    }

    /// The indexes, ascending, of the rules below `limit` whose hulls meet that of the region.
    /// Adds the steps that this took.
    pub(super) fn of(&self, region: &Region, limit: usize, steps: &mut usize) -> Vec<usize> {
        let wanted = hull(region);
        let mut nodes: Vec<usize> = vec![0];
        for level in self.levels.iter().rev() {
            let mut next = Vec::new();
            for node in nodes {
                *steps += 1;
                if level.get(node).is_some_and(|hull| meets(hull, &wanted)) {
                    next.extend(node * WIDTH..(node + 1) * WIDTH);
                }
            }
            nodes = next;
        }
        *steps += nodes.len();
        let leaves = nodes.into_iter().filter_map(|node| self.rules.get(node));
        let mut found: Vec<usize> = leaves
            .filter(|(hull, index)| (*index as usize) < limit && meets(hull, &wanted))
            .map(|(_, index)| *index as usize)
            .collect();
        found.sort_unstable();
        found
    }
}

fn hull(region: &Region) -> Hull {
    BY.map(|axis| region.bounds(axis))
}

fn around(hulls: &[Hull]) -> Hull {
    let mut all = [(u128::MAX, 0); BY.len()];
    for hull in hulls {
        for (all, one) in all.iter_mut().zip(hull) {
            *all = (all.0.min(one.0), all.1.max(one.1));
        }
    }
    all
}

fn meets(one: &Hull, other: &Hull) -> bool {
    one.iter().zip(other).all(|(a, b)| a.0 <= b.1 && b.0 <= a.1)
}
