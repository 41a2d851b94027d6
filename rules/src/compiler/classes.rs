//! The values of one field, grouped into classes.
//!
//! The rules of a section name *sets* of values. Two values belong to the same class if the same
//! sets contain them. The classes are found in one sweep over the bounds of all sets: the sets that
//! contain the current value are identified by the XOR of a 128-bit number of each, so an interval
//! needs only a few words, however many sets there are. (Zobrist, A New Hashing Method with
//! Application for Game Playing, 1970. With n classes, the probability of a collision is below n^2
//! / 2^129.)

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
};

use crate::field::{RangeSet, Value};

/// The number of a class in its field, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClassId(pub(super) u32);

/// The number of a distinct set that rules name in a field, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetId(pub(super) u32);

/// The distinct sets that rules name in one field.
#[derive(Debug)]
pub(super) struct ClassSets<'a, T> {
    sets: Vec<&'a RangeSet<T>>,
    /// Known sets by their address in memory, so that a large set shared by many rules is hashed
    /// once.
    by_address: HashMap<usize, SetId>,
    by_content: HashMap<&'a RangeSet<T>, SetId>,
}

impl<T> Default for ClassSets<'_, T> {
    fn default() -> Self {
        Self {
            sets: Vec::new(),
            by_address: HashMap::new(),
            by_content: HashMap::new(),
        }
    }
}

impl<'a, T: Value + Hash> ClassSets<'a, T> {
    /// The number of the set, which is new if no set has the same contents.
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

    /// The distinct sets, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a RangeSet<T>> {
        self.sets.iter().copied()
    }

    /// The number of the set with the contents of `set`, if there is one.
    pub(super) fn number(&self, set: &RangeSet<T>) -> Option<SetId> {
        self.by_content.get(set).copied()
    }

    /// The set with the number `set`.
    pub(super) fn get(&self, set: SetId) -> &'a RangeSet<T> {
        self.sets[set.0 as usize]
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
        // Each set contributes an ascending run, which a merge sort does not sort again.
        bounds.sort_by_key(|&(at, _)| at);

        let mut classes = Classes::new();
        let mut identity = 0_u128;
        let mut groups = bounds.chunk_by(|a, b| a.0 == b.0).peekable();
        if groups.peek().is_none_or(|group| group[0].0 != T::MIN) {
            classes.start(T::MIN, identity);
        }
        for group in groups {
            for (_, set) in group {
                identity ^= number(set.0);
            }
            classes.start(group[0].0, identity);
        }
        classes.outside = classes.class(0);
        classes
    }

    /// By class, the sets that contain its values, ascending.
    pub(super) fn holders(&self, classes: &Classes<T>) -> Vec<Vec<SetId>> {
        let mut holders = vec![Vec::new(); classes.len()];
        let mut spread = Spread::new(classes);
        for (set, id) in self.sets.iter().zip(0..) {
            for class in spread.all(set) {
                holders[class.0 as usize].push(SetId(id));
            }
        }
        holders
    }
}

/// The classes of one field and the intervals of values that belong to them.
#[derive(Debug)]
pub(super) struct Classes<T> {
    /// The first value of each interval and its class; ascending from the smallest value of the
    /// type, adjacent intervals have different classes.
    pub(super) intervals: Vec<(T, ClassId)>,
    /// The class of values that no set contains, and of packets without the field.
    pub(super) outside: ClassId,
    by_identity: HashMap<u128, ClassId, BuildIdentityHasher>,
}

impl<T: Value> Classes<T> {
    fn new() -> Self {
        Self {
            intervals: Vec::new(),
            outside: ClassId(0),
            by_identity: HashMap::default(),
        }
    }

    fn start(&mut self, at: T, identity: u128) {
        let class = self.class(identity);
        if self.intervals.last().is_none_or(|(_, last)| *last != class) {
            self.intervals.push((at, class));
        }
    }

    fn class(&mut self, identity: u128) -> ClassId {
        let next = ClassId(self.by_identity.len() as u32);
        *self.by_identity.entry(identity).or_insert(next)
    }

    /// The number of classes.
    pub(super) fn len(&self) -> usize {
        self.by_identity.len()
    }

    /// For each class, the class of `coarser` to which its values belong; no set of `coarser` may
    /// split a class.
    pub(super) fn project(&self, coarser: &Self) -> Vec<ClassId> {
        let mut projected = vec![coarser.outside; self.len()];
        let mut coarse = coarser.intervals.iter().peekable();
        let mut at = coarser.outside;
        for (first, class) in &self.intervals {
            while let Some((_, next)) = coarse.next_if(|(start, _)| start <= first) {
                at = *next;
            }
            projected[class.0 as usize] = at;
        }
        projected[self.outside.0 as usize] = coarser.outside;
        projected
    }

    /// Reduces the classes to their identities.
    pub(super) fn into_identities(self) -> Identities {
        let mut identities = vec![0; self.len()];
        for (identity, class) in &self.by_identity {
            identities[class.0 as usize] = *identity;
        }
        Identities {
            identities,
            classes: self.by_identity,
        }
    }

    /// Gives each class the number that `numbers` has for it.
    pub(super) fn renumber(&mut self, numbers: &[ClassId]) {
        let new = |class: &mut ClassId| *class = numbers[class.0 as usize];
        self.intervals.iter_mut().for_each(|(_, class)| new(class));
        self.by_identity.values_mut().for_each(new);
        new(&mut self.outside);
    }
}

/// The identities of the classes of one field: the XOR of the numbers of the sets that contain
/// each.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// By class.
    identities: Vec<u128>,
    classes: HashMap<u128, ClassId, BuildIdentityHasher>,
}

impl Identities {
    /// The class of values that were in `class` before they moved into or out of sets whose numbers
    /// have the XOR `moves`; `None` if there is no such class.
    pub(super) fn moved(&self, class: ClassId, moves: u128) -> Option<ClassId> {
        let identity = self.identities.get(class.0 as usize)? ^ moves;
        self.classes.get(&identity).copied()
    }
}

/// Finds the classes that a set consists of.
pub(super) struct Spread<'a, T> {
    classes: &'a Classes<T>,
    /// For each class, the number of the last search that found it.
    met: Vec<u32>,
    search: u32,
}

impl<'a, T: Value> Spread<'a, T> {
    /// A finder for `classes`.
    pub(super) fn new(classes: &'a Classes<T>) -> Self {
        Self {
            classes,
            met: vec![0; classes.len()],
            search: 0,
        }
    }

    /// All classes of `set`, each once.
    pub(super) fn all(&mut self, set: &RangeSet<T>) -> Vec<ClassId> {
        self.find(set, usize::MAX).unwrap_or_default()
    }

    /// The classes of `set`, each once, ascending; `None` when there are more than `limit`.
    pub(super) fn at_most(&mut self, set: &RangeSet<T>, limit: usize) -> Option<Vec<ClassId>> {
        let mut found = self.find(set, limit)?;
        found.sort_unstable();
        Some(found)
    }

    fn find(&mut self, set: &RangeSet<T>, limit: usize) -> Option<Vec<ClassId>> {
        self.search += 1;
        let intervals = &self.classes.intervals;
        let mut found = Vec::new();
        let mut at = 0;
        for &(first, last) in set.ranges() {
            at += gallop(&intervals[at..], first);
            // The interval that contains the first value, and those that start inside the range.
            let holding = at.saturating_sub(1);
            for (start, class) in &intervals[holding..] {
                if *start > last {
                    break;
                }
                let met = &mut self.met[class.0 as usize];
                if *met != self.search {
                    *met = self.search;
                    if found.len() == limit {
                        return None;
                    }
                    found.push(*class);
                }
            }
        }
        Some(found)
    }
}

/// The number of intervals that start at or before `value`, found by galloping search (Bentley,
/// Yao: An Almost Optimal Algorithm for Unbounded Searching, 1976).
fn gallop<T: Ord + Copy>(intervals: &[(T, ClassId)], value: T) -> usize {
    let mut step = 1;
    while step < intervals.len() && intervals[step].0 <= value {
        step *= 2;
    }
    let end = intervals.len().min(step + 1);
    intervals[..end].partition_point(|(start, _)| *start <= value)
}

/// Builds hashers that use some bits of an identity, which is already random, as its hash.
#[derive(Clone, Copy, Debug, Default)]
struct BuildIdentityHasher;

impl BuildHasher for BuildIdentityHasher {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

/// See [`BuildIdentityHasher`].
#[derive(Debug)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, identity: u128) {
        self.0 = identity as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The 128-bit number of a member of a hashed set: two outputs of SplitMix64 (Steele, Lea, Flood:
/// Fast Splittable Pseudorandom Number Generators, 2014). It is the same in every run, so images
/// are reproducible.
pub(super) fn number(member: u32) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    let seed = u64::from(member) * 2;
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
            let mut sets = ClassSets::default();
            let ids: Vec<_> = input.iter().map(|set| sets.intern(set)).collect();
            let classes = sets.classes();
            let by_class = sets.holders(&classes);
            prop_assert!(classes.intervals.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1));
            for value in 0..=u8::MAX {
                let at = classes.intervals.partition_point(|(first, _)| *first <= value);
                let class = classes.intervals[at - 1].1;
                let mut holders: Vec<_> = input.iter().zip(&ids)
                    .filter(|(set, _)| set.contains(value)).map(|(_, id)| *id).collect();
                holders.sort();
                holders.dedup();
                prop_assert_eq!(&by_class[class.0 as usize], &holders);
                prop_assert_eq!(class == classes.outside, holders.is_empty());
            }
        }
    }
}
