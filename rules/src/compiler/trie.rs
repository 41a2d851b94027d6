//! Tries: from the intervals of a field to nodes of the image.

use firewall_ebpf::image::{LEAF, NODE_CLASSES, NODE_DENSE, NODE_PAIR, NODE_REFERENCES};

use super::{
    CompileError,
    classes::{ClassId, Classes},
    writer::Writer,
};

/// A key that a trie takes apart 16 bits at a time, the most significant first.
pub(super) trait Key: Copy + Ord {
    /// The number of digits.
    const DIGITS: u32;
    /// The digit at `level`, 0 for the most significant.
    fn digit(self, level: u32) -> u16;
    /// Whether all digits after `level` are 0.
    fn is_start(self, level: u32) -> bool;
}

macro_rules! key {
    ($($ty:ty),*) => {$(
        impl Key for $ty {
            const DIGITS: u32 = <$ty>::BITS / 16;

            fn digit(self, level: u32) -> u16 {
                (self >> (16 * (Self::DIGITS - 1 - level))) as u16
            }

            fn is_start(self, level: u32) -> bool {
                self.trailing_zeros() >= 16 * (Self::DIGITS - 1 - level)
            }
        }
    )*};
}
key!(u16, u32, u128);

/// A node with more bounds than this becomes dense: one load into 256 KiB in place of a search of
/// more than ten steps.
const DENSE_ABOVE: usize = 1024;

/// A trie in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trie {
    /// The reference to the root.
    pub(super) root: u32,
    /// The most loads that a search takes.
    pub(super) loads: u32,
}

/// Writes the trie of a field.
///
/// # Errors
///
/// [`CompileError::TooLarge`] when the image has no room for it.
pub(super) fn write<K: Key>(
    classes: &Classes<K>,
    writer: &mut Writer,
) -> Result<Trie, CompileError> {
    match classes.intervals.split_first() {
        Some((&(_, first), rest)) => write_node(rest, first, 0, writer),
        None => Ok(leaf(ClassId(0))),
    }
}

fn leaf(class: ClassId) -> Trie {
    Trie {
        root: LEAF | class.0,
        loads: 0,
    }
}

/// Writes the node for the intervals that start below one prefix; `class` is in force at its
/// first value unless the first interval starts there.
fn write_node<K: Key>(
    intervals: &[(K, ClassId)],
    mut class: ClassId,
    level: u32,
    writer: &mut Writer,
) -> Result<Trie, CompileError> {
    let mut node = Node::default();
    node.push(0, leaf(class));
    for group in intervals.chunk_by(|a, b| a.0.digit(level) == b.0.digit(level)) {
        let digit = group[0].0.digit(level);
        let last = group[group.len() - 1].1;
        if group.len() == 1 && group[0].0.is_start(level) {
            node.push(digit, leaf(last));
        } else {
            let child = write_node(group, class, level + 1, writer)?;
            node.push(digit, child);
            if let Some(next) = digit.checked_add(1) {
                node.push(next, leaf(last));
            }
        }
        class = last;
    }
    node.write(writer)
}

/// The digits at which the reference changes.
#[derive(Default)]
struct Node {
    starts: Vec<(u16, u32)>,
    /// The most loads that a search below the node takes.
    loads: u32,
}

impl Node {
    /// Digits from `digit` on lead to `child`, in place of what was said of it before.
    fn push(&mut self, digit: u16, child: Trie) {
        self.loads = self.loads.max(child.loads);
        let reference = child.root;
        if self.starts.last().is_some_and(|(last, _)| *last == digit) {
            self.starts.pop();
        }
        if self
            .starts
            .last()
            .is_none_or(|(_, last)| *last != reference)
        {
            self.starts.push((digit, reference));
        }
    }

    fn write(&self, writer: &mut Writer) -> Result<Trie, CompileError> {
        let references = || self.starts.iter().map(|(_, reference)| *reference);
        let bounds = || self.starts.iter().skip(1).map(|(digit, _)| *digit);
        let (first, second) = match *self.starts.as_slice() {
            [] => return Ok(leaf(ClassId(0))),
            [(_, root)] => {
                return Ok(Trie {
                    root,
                    loads: self.loads,
                });
            }
            [(_, first), (_, second), ..] => (first, second),
        };
        let count = self.starts.len() - 1;
        writer.align(4)?;
        let at = writer.offset();
        // A node has at most 65,535 bounds: the digits from 1 on.
        let head = |kind| [count as u16, kind];
        // The head, a halving for each bit of the number of bounds, and the reference.
        let mut loads = 2 + (usize::BITS - count.leading_zeros());
        if references().all(|reference| reference == first || reference == second) {
            writer.u16s(head(NODE_PAIR))?;
            writer.u32s([first, second])?;
            writer.u16s(bounds())?;
        } else if count > DENSE_ABOVE {
            loads = 2;
            writer.check(4 + 4 * 0x1_0000)?;
            writer.u16s(head(NODE_DENSE))?;
            let ends = bounds().map(u32::from).chain([0x1_0000]);
            let mut digit = 0;
            for (reference, end) in references().zip(ends) {
                writer.u32s(std::iter::repeat_n(reference, (end - digit) as usize))?;
                digit = end;
            }
        } else if references()
            .all(|reference| reference & LEAF != 0 && reference & !LEAF < 0x1_0000)
        {
            writer.u16s(head(NODE_CLASSES))?;
            writer.u16s(bounds())?;
            writer.u16s(references().map(|reference| reference as u16))?;
        } else {
            writer.u16s(head(NODE_REFERENCES))?;
            writer.u16s(bounds())?;
            writer.align(4)?;
            writer.u32s(references())?;
        }
        Ok(Trie {
            root: at,
            loads: loads + self.loads,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compiler::classes::Sets, ranges::RangeSet};
    use firewall_ebpf::walk::find;
    use proptest::prelude::*;

    /// Every value beside a bound must be found in the class that holds it.
    fn check<K: Key + crate::ranges::Value + std::hash::Hash, const LEVELS: usize>(
        sets: &[RangeSet<K>],
        key: impl Fn(K) -> (u64, u64),
    ) {
        let mut interned = Sets::default();
        for set in sets {
            interned.intern(set);
        }
        let classes = interned.classes();
        let mut writer = Writer::new(1 << 24);
        let root = write(&classes, &mut writer).unwrap().root;
        let image = writer.finish();
        for (start, class) in &classes.intervals {
            for value in [start.previous(), Some(*start), start.next()]
                .into_iter()
                .flatten()
            {
                let at = classes
                    .intervals
                    .partition_point(|(first, _)| *first <= value);
                let (high, low) = key(value);
                let found = find::<LEVELS, [u8]>(&image, root, high, low);
                assert_eq!(found, classes.intervals[at - 1].1.0, "{value:?} {class:?}");
            }
        }
    }

    prop_compose! {
        /// Prefixes and single values, many of them close together.
        fn wide_sets()(input in prop::collection::vec(
            prop::collection::vec((any::<u128>(), 0_u32..9, 0_u32..=128), 1..12), 1..6))
            -> Vec<RangeSet<u128>> {
            input.into_iter().map(|set| RangeSet::from_ranges(set.into_iter().map(|(value, keep, length)| {
                let value = value & u128::MAX.checked_shl(128 - 16 * keep).unwrap_or(0);
                let host = u128::MAX.checked_shr(length).unwrap_or(0);
                (value & !host, value | host)
            }).collect())).collect()
        }
    }

    proptest! {
        #[test]
        fn ipv6_values_are_found_in_their_class(sets in wide_sets()) {
            check::<u128, 8>(&sets, |value| ((value >> 64) as u64, value as u64));
        }

        #[test]
        fn ipv4_values_are_found_in_their_class(sets in wide_sets()) {
            let sets: Vec<_> = sets.iter().map(|set| RangeSet::from_ranges(
                set.ranges().iter().map(|(a, b)| ((a >> 96) as u32, (b >> 96) as u32)).collect())).collect();
            check::<u32, 2>(&sets, |value| (u64::from(value) << 32, 0));
        }

        #[test]
        fn ports_are_found_in_their_class(
            input in prop::collection::vec(prop::collection::vec((any::<u16>(), 0_u16..50), 1..80), 1..6),
        ) {
            let sets: Vec<_> = input.into_iter().map(|set| RangeSet::from_ranges(
                set.into_iter().map(|(a, n)| (a, a.saturating_add(n))).collect())).collect();
            check::<u16, 1>(&sets, |value| (u64::from(value) << 48, 0));
        }
    }

    #[test]
    fn a_dense_node_holds_every_digit() {
        let sets: Vec<_> = (0..3)
            .map(|set| {
                RangeSet::from_ranges((0..2000_u16).map(|n| (n * 32 + set, n * 32 + 8)).collect())
            })
            .collect();
        check::<u16, 1>(&sets, |value| (u64::from(value) << 48, 0));
    }

    #[test]
    fn every_other_value_of_a_digit_fits_one_node() {
        let set = RangeSet::from_ranges((0..0x8000_u16).map(|n| (2 * n + 1, 2 * n + 1)).collect());
        check::<u16, 1>(&[set], |value| (u64::from(value) << 48, 0));
    }
}
