//! Chooses the cheapest form of the search for an address.

use firewall_ebpf::image::Reference;

use super::{
    family::Address,
    form::SearchForm,
    hash::{FEW, FEW_ALONE, HashTable, Split},
    multibit::{self, Multibit},
    trie::{self, Depths, Key, Trie},
    uniform::{self, Uniform},
};
use crate::compiler::{classes::ClassId, error::CompileError, writer::Writer};

/// The maximum number of single addresses in a hash table for IPv4, so that caches hold part of it;
/// for more addresses a trie is smaller.
const MOST_IPV4: usize = 1 << 18;

/// The number of single addresses that justifies two searches for all other addresses.
const MANY: usize = 8;

/// The minimum share of single addresses among the intervals, in addition to [`MANY`]: one in this
/// many.
const MANY_IN: usize = 4;

/// Writes the search for an address from the first value of each interval, ascending from 0, and
/// its class.
///
/// # Errors
///
/// [`CompileError::TooLarge`] when the image has no room for it.
pub(crate) fn write<A: Address>(
    intervals: &[(A, ClassId)],
    depths: &mut Depths,
    writer: &mut Writer,
) -> Result<(Trie, SearchForm), CompileError> {
    let Split {
        background,
        singles,
    } = split(intervals);
    let whole = Small::new(intervals);
    let only_singles = background.len() == 1;
    let many_singles = singles.len() >= MANY.max(intervals.len() / MANY_IN);
    // Only keys of 32 bits can form a small trie.
    if only_singles && !singles.is_empty() || many_singles && whole.is_none() {
        let rest = Small::new(&background);
        let fits = A::DIGITS > 2 || singles.len() <= MOST_IPV4 && (only_singles || rest.is_some());
        if fits && let Some(table) = HashTable::new(&singles) {
            let background = write_trie(rest, &background, depths, writer)?.0;
            return Ok((table.write(&background, depths, writer)?, SearchForm::Hash));
        }
    }
    write_trie(whole, intervals, depths, writer)
}

/// A trie of few keys of 32 bits in which every search takes the same steps.
pub(crate) enum Small {
    /// The cheaper one.
    Multibit(Multibit),
    /// The one that takes less memory.
    Uniform(Uniform),
}

impl Small {
    /// The cheapest such trie of intervals in the form that [`trie::write`] takes, if there is one.
    pub(crate) fn new<K: Key>(intervals: &[(K, ClassId)]) -> Option<Self> {
        // Intervals that the first digit alone distinguishes need only one node.
        if intervals.iter().all(|(start, _)| start.is_start(0)) {
            return None;
        }
        let multibit = Multibit::new(intervals).map(Self::Multibit);
        multibit.or_else(|| Uniform::new(intervals).map(Self::Uniform))
    }

    /// The intervals of the trie at `reference`, if it is a small trie.
    pub(crate) fn read<K: Key>(image: &[u8], reference: Reference) -> Option<Vec<(K, ClassId)>> {
        if reference.is_multibit() {
            return Some(multibit::read(image, reference));
        }
        reference
            .is_uniform()
            .then(|| uniform::read(image, reference))
    }
}

/// Writes the trie of intervals: `small` if given, otherwise a trie of nodes.
///
/// # Errors
///
/// [`CompileError::TooLarge`] when the image has no room for it.
pub(crate) fn write_trie<K: Key>(
    small: Option<Small>,
    intervals: &[(K, ClassId)],
    depths: &mut Depths,
    writer: &mut Writer,
) -> Result<(Trie, SearchForm), CompileError> {
    Ok(match small {
        Some(Small::Multibit(trie)) => (trie.write(depths, writer)?, SearchForm::Multibit),
        Some(Small::Uniform(trie)) => (trie.write(depths, writer)?, SearchForm::Uniform),
        None => (trie::write(intervals, depths, writer)?, SearchForm::Trie),
    })
}

/// Splits off single addresses: all addresses, if that needs at most twice as many slots as there
/// are intervals.
fn split<A: Address>(intervals: &[(A, ClassId)]) -> Split<A> {
    Split::new(intervals, FEW_ALONE, 2 * intervals.len())
        .filter(|alone| alone.background.len() == 1)
        .or_else(|| Split::new(intervals, FEW, usize::MAX))
        .unwrap_or_else(|| Split {
            background: intervals.to_vec(),
            singles: Vec::new(),
        })
}

/// Fails unless the first and the last address of each interval are found in its class.
#[cfg(test)]
pub(super) fn assert_found(image: &[u8], root: Reference, intervals: &[(u32, ClassId)]) {
    for (index, (start, class)) in intervals.iter().enumerate() {
        let next = intervals.get(index + 1);
        let end = next.map_or(u32::MAX, |(next, _)| next - 1);
        for value in [*start, end] {
            assert_eq!(value.class(image, root), *class, "{value:#x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        compiler::{
            address::{moved::Move, side::Side},
            classes::{ClassId, number},
            obstacle::Obstacle,
            update::Patch,
        },
        field::RangeSet,
    };
    use proptest::prelude::*;

    /// Sets of many single addresses and few ranges, which overlap.
    fn sets() -> impl Strategy<Value = Vec<BTreeSet<(u128, u128)>>> {
        let address = prop_oneof![
            any::<u128>(),
            (0_u128..64).prop_map(|low| low << 96 | low),
            (0_u128..64).prop_map(|low| u128::MAX - (low << 96 | low)),
        ];
        let length = prop_oneof![8 => Just(0_u128), 2 => 1..6_u128, 1 => Just(1 << 100)];
        let range = (address, length).prop_map(|(first, length)| {
            let extent = length << 96 | length;
            (first, first.saturating_add(extent))
        });
        prop::collection::vec(prop::collection::btree_set(range, 0..200), 1..4)
    }

    /// The sets as addresses of a family, taken from these numbers.
    fn of_family<A: Address>(
        sets: &[BTreeSet<(u128, u128)>],
        address: fn(u128) -> A,
    ) -> Vec<RangeSet<A>> {
        let ranges = |set: &BTreeSet<(u128, u128)>| {
            let ranges = set.iter().map(|(a, b)| (address(*a), address(*b)));
            RangeSet::from_ranges(ranges.collect())
        };
        sets.iter().map(ranges).collect()
    }

    /// Every value next to a bound is found in its class, whatever the form, also after some single
    /// addresses have moved to another set.
    fn check<A: Address + std::fmt::Debug>(
        sets: &[RangeSet<A>],
        moved: &[A],
    ) -> Result<bool, TestCaseError> {
        let classes = Side::new(sets.iter().map(Some)).classes;
        let mut writer = Writer::new(1 << 24);
        let mut depths = Depths::default();
        let (trie, form) = write(&classes.intervals, &mut depths, &mut writer).unwrap();
        prop_assert_eq!(form == SearchForm::Hash, trie.root.is_hash());
        let intervals = classes.intervals.clone();
        let class_of =
            |value: A| intervals[intervals.partition_point(|(first, _)| *first <= value) - 1].1;
        let bounds = intervals.iter().map(|(start, _)| *start);
        let near = |at: A| [at.previous(), Some(at), at.next()].into_iter().flatten();
        let values: BTreeSet<A> = bounds.chain(moved.iter().copied()).flat_map(near).collect();
        for &value in &values {
            prop_assert_eq!(
                value.class(writer.written(), trie.root),
                class_of(value),
                "{:?}",
                value
            );
        }
        if form != SearchForm::Hash {
            return Ok(false);
        }
        let set = number(0);
        let moves: Vec<Move<A>> = moved
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|address| Move {
                first: *address,
                last: *address,
                sets: set,
            })
            .collect();
        let identities = classes.into_identities();
        let expected: Option<BTreeMap<A, ClassId>> = moves
            .iter()
            .map(|moved| Some((moved.first, identities.moved(class_of(moved.first), set)?)))
            .collect();
        let mut patch = Patch {
            writer: &mut writer,
            identities: &identities,
            depths: &mut depths,
        };
        match (patch.root(trie.root, &moves), expected) {
            (Ok(new), Some(expected)) => {
                prop_assert_eq!(new.root, trie.root);
                for &value in &values {
                    let wanted = expected
                        .get(&value)
                        .copied()
                        .unwrap_or_else(|| class_of(value));
                    prop_assert_eq!(
                        value.class(writer.written(), new.root),
                        wanted,
                        "{:?}",
                        value
                    );
                }
                Ok(true)
            }
            (Err(Obstacle::Growth), _) | (Err(Obstacle::NewClass), None) => Ok(false),
            (result, expected) => Err(TestCaseError::fail(format!(
                "{result:?} {}",
                expected.is_some()
            ))),
        }
    }

    proptest! {
        #[test]
        fn ipv4_addresses_are_found(sets in sets(), moved in prop::collection::vec(any::<u32>(), 0..20)) {
            let sets = of_family(&sets, |number| (number >> 96) as u32);
            let members = sets[0].ranges().iter().map(|(first, _)| *first).take(10);
            let moved: Vec<u32> = moved.into_iter().chain([0, u32::MAX]).chain(members).collect();
            check(&sets, &moved)?;
        }

        #[test]
        fn ipv6_addresses_are_found(sets in sets(), moved in prop::collection::vec(any::<u128>(), 0..20)) {
            let sets = of_family(&sets, |number| number);
            let members = sets[0].ranges().iter().map(|(first, _)| *first).take(10);
            let moved: Vec<u128> = moved.into_iter().chain([0, u128::MAX]).chain(members).collect();
            check(&sets, &moved)?;
        }
    }

    #[test]
    fn tables_take_in_addresses_until_they_are_full() {
        let members = |count: u32| (0..count).map(|index| index.wrapping_mul(0x9e37_79b9));
        let set = RangeSet::from_ranges(members(1000).map(|at| (at, at)).collect());
        let news: Vec<u32> = members(1400).skip(1000).collect();
        assert!(check(std::slice::from_ref(&set), &news[..150]).unwrap());
        // More than there are slots.
        assert!(!check(&[set], &news).unwrap());
    }
}
