//! The values of one field, grouped into classes.
//!
//! The rules of a section name *sets* of values. Two values belong to one class when the same
//! sets hold them. The classes are found in one sweep over the bounds of all sets: the sets that
//! hold the current value are identified by the XOR of a 128-bit number of each, so that nothing
//! but a few words is kept for an interval, however many there are. (Zobrist, A New Hashing
//! Method with Application for Game Playing, 1970. With n classes the chance that two different
//! ones meet is below n^2 / 2^129.)

use std::collections::{BTreeSet, HashMap};

use crate::ranges::{RangeSet, Value};

/// The number of a class in its field, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClassId(pub(super) u32);

/// The number of a distinct set that rules name in a field, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetId(pub(super) u32);

/// The distinct sets that rules name in one field.
#[derive(Debug)]
pub(super) struct Sets<'a, T> {
    sets: Vec<&'a RangeSet<T>>,
    /// By address: a big set that many rules share is hashed once.
    by_address: HashMap<usize, SetId>,
    by_content: HashMap<&'a RangeSet<T>, SetId>,
}

impl<T> Default for Sets<'_, T> {
    fn default() -> Self {
        Self {
            sets: Vec::new(),
            by_address: HashMap::new(),
            by_content: HashMap::new(),
        }
    }
}

impl<'a, T: Value + std::hash::Hash> Sets<'a, T> {
    /// The number of the set, a new one when it is the first of its content.
    pub(super) fn intern(&mut self, set: &'a RangeSet<T>) -> SetId {
        let address = std::ptr::from_ref(set) as usize;
        *self.by_address.entry(address).or_insert_with(|| {
            let next = SetId(self.sets.len() as u32);
            *self.by_content.entry(set).or_insert_with(|| {
                self.sets.push(set);
                next
            })
        })
    }

    /// The number of distinct sets.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Groups all values of the field into classes.
    pub(super) fn classes(&self) -> Classes<T> {
        let mut bounds = Vec::with_capacity(self.sets.iter().map(|s| s.ranges().len() * 2).sum());
        for (set, id) in self.sets.iter().zip(0..) {
            for &(first, last) in set.ranges() {
                bounds.push((first, SetId(id)));
                if let Some(after) = last.next() {
                    bounds.push((after, SetId(id)));
                }
            }
        }
        // Each set brings an ascending run, which a merge sort takes as it is.
        bounds.sort_by_key(|&(at, _)| at);

        let mut classes = Classes::new();
        let mut identity = 0_u128;
        let mut holding = BTreeSet::new();
        let mut groups = bounds.chunk_by(|a, b| a.0 == b.0).peekable();
        if groups.peek().is_none_or(|group| group[0].0 != T::MIN) {
            classes.start(T::MIN, identity, &holding);
        }
        for group in groups {
            for (_, set) in group {
                identity ^= number(*set);
                if !holding.remove(set) {
                    holding.insert(*set);
                }
            }
            classes.start(group[0].0, identity, &holding);
        }
        classes.outside = classes.class(0, &BTreeSet::new());
        classes
    }
}

/// The classes of one field and the intervals of values that belong to them.
#[derive(Debug)]
pub(super) struct Classes<T> {
    /// The first value of each interval and its class; ascending from the smallest value of the
    /// type, neighbours in different classes.
    pub(super) intervals: Vec<(T, ClassId)>,
    /// The sets that hold the values of each class, ascending, by class.
    pub(super) holders: Vec<Vec<SetId>>,
    /// The class of values, and of packets without the field, that no set holds.
    pub(super) outside: ClassId,
    by_identity: HashMap<u128, ClassId>,
}

impl<T: Value> Classes<T> {
    fn new() -> Self {
        Self {
            intervals: Vec::new(),
            holders: Vec::new(),
            outside: ClassId(0),
            by_identity: HashMap::new(),
        }
    }

    fn start(&mut self, at: T, identity: u128, holding: &BTreeSet<SetId>) {
        let class = self.class(identity, holding);
        if self.intervals.last().is_none_or(|(_, last)| *last != class) {
            self.intervals.push((at, class));
        }
    }

    fn class(&mut self, identity: u128, holding: &BTreeSet<SetId>) -> ClassId {
        let next = ClassId(self.holders.len() as u32);
        *self.by_identity.entry(identity).or_insert_with(|| {
            self.holders.push(holding.iter().copied().collect());
            next
        })
    }

    /// The number of classes.
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }
}

/// The 128-bit number of a set: two outputs of SplitMix64 (Steele, Lea, Flood: Fast Splittable
/// Pseudorandom Number Generators, 2014). The same in every run, so that images are too.
fn number(set: SetId) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    let seed = u64::from(set.0) * 2;
    u128::from(mix(seed + 1)) << 64 | u128::from(mix(seed + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_share_a_class_exactly_when_the_same_sets_hold_them(
            input in prop::collection::vec(
                prop::collection::vec((any::<u8>(), any::<u8>()), 0..6), 0..8),
        ) {
            let input: Vec<_> = input.into_iter().map(RangeSet::from_ranges).collect();
            let mut sets = Sets::default();
            let ids: Vec<_> = input.iter().map(|set| sets.intern(set)).collect();
            let classes = sets.classes();
            prop_assert!(classes.intervals.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1));
            for value in 0..=u8::MAX {
                let at = classes.intervals.partition_point(|(first, _)| *first <= value);
                let class = classes.intervals[at - 1].1;
                let mut holders: Vec<_> = input.iter().zip(&ids)
                    .filter(|(set, _)| set.contains(value)).map(|(_, id)| *id).collect();
                holders.sort();
                holders.dedup();
                prop_assert_eq!(&classes.holders[class.0 as usize], &holders);
                prop_assert_eq!(class == classes.outside, holders.is_empty());
            }
        }
    }
}
