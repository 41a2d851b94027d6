//! Tries: from the intervals of a field to nodes of the image.

use firewall_ebpf::image::{
    AFTER_HEAD, AFTER_PAIR, BLOCK, MAX_LEVELS, Memory as _, NODE_PAGES, NODE_PAIR, NODE_REFERENCES,
    NodeHead, PAGE, PAGE_NUMBERS, Reference, level_bytes, page_number_at, paged_reference_at,
    reference_at, stored_bound, tree_level,
};

use crate::compiler::{classes::ClassId, error::CompileError, pages::pages, writer::Writer};

/// A key that a trie splits into digits of 16 bits, the most significant first.
pub(crate) trait Key: Copy + Ord {
    /// The number of digits.
    const DIGITS: u32;
    /// The digit at `level`, 0 for the most significant.
    fn digit(self, level: u32) -> u16;
    /// Whether all digits after `level` are 0.
    fn is_start(self, level: u32) -> bool;
    /// Whether all digits after `level` have the maximum value.
    fn is_end(self, level: u32) -> bool;
    /// The smallest key whose most significant digits are these two.
    fn starting_with(first: u16, second: u16) -> Self;
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

            fn is_end(self, level: u32) -> bool {
                self.trailing_ones() >= 16 * (Self::DIGITS - 1 - level)
            }

            fn starting_with(first: u16, second: u16) -> Self {
                (Self::from(first) << 16 | Self::from(second)) << (16 * (Self::DIGITS - 2))
            }
        }
    )*};
}
key!(u32, u64, u128);

/// The number of bounds, one block, above which a root has pages: every search starts there, and
/// two loads replace the levels of a search tree.
const PAGES_AT_ROOT_ABOVE: usize = BLOCK as usize;

/// The number of bounds above which other nodes have pages, which are then at most three times as
/// large.
const PAGES_ABOVE: usize = 8192;

/// The number of bounds above which a node with alternating intervals has its own kind; smaller
/// nodes are all of one kind, which helps branch prediction.
const PAIR_ABOVE: usize = BLOCK as usize;

/// A trie in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trie {
    /// The reference to the root.
    pub(crate) root: Reference,
    /// The maximum number of loads that a search takes.
    pub(crate) loads: u32,
    /// The maximum number of dependent loads among them.
    pub(crate) chain: u32,
    /// The maximum number of nodes that a search visits.
    pub(crate) nodes: u32,
}

/// For each level of a trie the maximum number of loads that a search from one of its nodes takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depths([u32; MAX_DIGITS]);

/// The digits of the longest key.
const MAX_DIGITS: usize = u128::DIGITS as usize;

impl Depths {
    /// Records a node.
    pub(crate) fn note(&mut self, level: u32, loads: u32) {
        if let Some(depth) = self.0.get_mut(level as usize) {
            *depth = loads.max(*depth);
        }
    }

    /// The loads from a node at `level`.
    pub(crate) fn at(&self, level: u32) -> u32 {
        self.0.get(level as usize).copied().unwrap_or(0)
    }
}

/// Writes the trie of a field from the first value of each interval, ascending from 0, and its
/// class. Each node has one parent.
///
/// # Errors
///
/// [`CompileError::TooLarge`] when the image has no room for it.
pub(crate) fn write<K: Key>(
    intervals: &[(K, ClassId)],
    depths: &mut Depths,
    writer: &mut Writer,
) -> Result<Trie, CompileError> {
    match intervals.split_first() {
        Some((&(_, first), rest)) => write_node(rest, first, 0, depths, writer),
        None => Ok(leaf(ClassId(0))),
    }
}

/// The trie in which every key has the same class.
pub(crate) fn leaf(class: ClassId) -> Trie {
    Trie {
        root: Reference::leaf(class.0),
        loads: 0,
        chain: 0,
        nodes: 0,
    }
}

/// Writes the node for the intervals that start below one prefix; `class` is in force at its
/// first value unless the first interval starts there.
fn write_node<K: Key>(
    intervals: &[(K, ClassId)],
    mut class: ClassId,
    level: u32,
    depths: &mut Depths,
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
            let child = write_node(group, class, level + 1, depths, writer)?;
            node.push(digit, child);
            if let Some(next) = digit.checked_add(1) {
                node.push(next, leaf(last));
            }
        }
        class = last;
    }
    let trie = node.write(level, writer)?;
    depths.note(level, trie.loads);
    Ok(trie)
}

/// The digits at which the reference changes.
#[derive(Default)]
pub(crate) struct Node {
    starts: Vec<(u16, Reference)>,
    /// The maximum number of loads that a search below the node takes.
    loads: u32,
    /// The maximum number of dependent loads among them.
    chain: u32,
    /// The maximum number of nodes below.
    nodes: u32,
}

impl Node {
    /// The node at `reference`, which may be a leaf, and the bytes that it takes; `None` if the
    /// kind of node is unknown. The cost of a search below it is not filled in.
    pub(crate) fn read(image: &[u8], reference: Reference) -> Option<(Self, usize)> {
        let mut node = Self::default();
        let mut push = |digit: u32, root: Reference| {
            let child = Trie {
                root,
                loads: 0,
                chain: 0,
                nodes: 0,
            };
            node.push(digit as u16, child);
        };
        if reference.is_leaf() {
            push(0, reference);
            return Some((node, 0));
        }
        let kind = reference.kind();
        let at = reference.offset();
        let read = |at: u32| Reference::from_bits(image.u32(at));
        let length = match kind {
            NODE_PAGES => {
                let mut last = 0;
                for digit in 0..1 << 16 {
                    let page = u32::from(image.u16(page_number_at(at, digit)));
                    last = last.max(page);
                    push(digit, read(paged_reference_at(at, page, digit)));
                }
                PAGE_NUMBERS + (last + 1) * PAGE * 4
            }
            NODE_REFERENCES | NODE_PAIR => {
                let head = NodeHead::from_bits(image.u32(at));
                let count = head.bounds();
                let alternate = kind == NODE_PAIR;
                let tree = at + if alternate { AFTER_PAIR } else { AFTER_HEAD };
                let bounds = tree
                    + (1..head.levels())
                        .map(|level| level_bytes(level - 1))
                        .sum::<u32>();
                let behind = bounds + count.next_multiple_of(BLOCK) * 2;
                let value = |interval: u32| match alternate {
                    true => read(reference_at(at + AFTER_HEAD, interval & 1)),
                    false => read(reference_at(behind, interval)),
                };
                push(0, value(0));
                for interval in 1..=count {
                    let bound = stored_bound(image.u16(bounds + (interval - 1) * 2));
                    push(u32::from(bound) + 1, value(interval));
                }
                behind - at + if alternate { 0 } else { (count + 1) * 4 }
            }
            _ => return None,
        };
        Some((node, length as usize))
    }

    /// The first and the last digit of each run of digits that lead to the same reference, and
    /// the reference.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, u32, Reference)> {
        let starts = self.starts.iter();
        let ends = starts.clone().skip(1).map(|(digit, _)| u32::from(*digit));
        starts
            .zip(ends.chain([1 << 16]))
            .map(|(&(first, reference), end)| (first.into(), end - 1, reference))
    }

    /// Makes digits from `digit` on lead to `child`, replacing any earlier entry for `digit`.
    pub(crate) fn push(&mut self, digit: u16, child: Trie) {
        self.loads = self.loads.max(child.loads);
        self.chain = self.chain.max(child.chain);
        self.nodes = self.nodes.max(child.nodes);
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

    /// Writes the node, which may turn out to be a leaf.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`].
    pub(crate) fn write(&self, level: u32, writer: &mut Writer) -> Result<Trie, CompileError> {
        let references = || self.starts.iter().map(|(_, reference)| *reference);
        let (first, second) = match *self.starts.as_slice() {
            [] => return Ok(leaf(ClassId(0))),
            [(_, root)] => {
                return Ok(Trie {
                    root,
                    loads: self.loads,
                    chain: self.chain,
                    nodes: self.nodes,
                });
            }
            [(_, first), (_, second), ..] => (first, second),
        };
        let count = self.starts.len() - 1;
        let alternate = references().all(|reference| reference == first || reference == second);
        let above = match (level, alternate) {
            (0, _) => PAGES_AT_ROOT_ABOVE,
            (_, false) => PAGES_ABOVE,
            (_, true) => usize::MAX,
        };
        writer.align(8)?;
        let at = writer.offset();
        let (kind, loads, chain) = if count > above {
            let digits: Vec<Reference> = self.digits().collect();
            let (numbers, pages) = pages(digits.chunks(PAGE as usize));
            writer.u16s(numbers)?;
            writer.u32s(pages.concat().into_iter().map(Reference::bits))?;
            (NODE_PAGES, 2, 2)
        } else {
            let levels = levels(count);
            // A node has at most 65,535 bounds: the digits from 1 on.
            writer.u32s([NodeHead::new(count as u32, levels).bits(), 0])?;
            let bounds = self.starts.iter().skip(1).map(|(digit, _)| digit - 1);
            let tree = search_tree(bounds.collect(), levels);
            let kind = if alternate && count > PAIR_ABOVE {
                writer.u32s([first.bits(), second.bits()])?;
                writer.u16s(tree)?;
                NODE_PAIR
            } else {
                writer.u16s(tree)?;
                writer.u32s(references().map(Reference::bits))?;
                NODE_REFERENCES
            };
            // The head, the two words of a block at each level, and the value.
            (kind, 2 + 2 * levels, 2 + levels)
        };
        Ok(Trie {
            root: Reference::node(at, kind),
            loads: loads + self.loads,
            chain: chain + self.chain,
            nodes: 1 + self.nodes,
        })
    }

    /// The reference of each digit.
    fn digits(&self) -> impl Iterator<Item = Reference> {
        self.runs().flat_map(|(first, last, reference)| {
            std::iter::repeat_n(reference, (last - first + 1) as usize)
        })
    }
}

/// The levels of the search tree over `count` bounds.
pub(crate) fn levels(count: usize) -> u32 {
    let room = |levels: &u32| (tree_level(levels - 1) * BLOCK) as usize >= count;
    (1..MAX_LEVELS).find(room).unwrap_or(MAX_LEVELS)
}

/// The complements of the bounds, level by level.
fn search_tree(bounds: Vec<u16>, levels: u32) -> Vec<u16> {
    search_levels(bounds, levels).concat()
}

/// The complements of the bounds of each level of a search tree.
pub(super) fn search_levels(bounds: Vec<u16>, levels: u32) -> Vec<Vec<u16>> {
    let block = BLOCK as usize;
    let mut upwards = vec![bounds];
    for _ in 1..levels {
        let below = &upwards[upwards.len() - 1];
        upwards.push(below.iter().copied().step_by(block).skip(1).collect());
    }
    upwards.reverse();
    for (depth, level) in (0..levels).zip(&mut upwards) {
        let length = if depth + 1 < levels {
            tree_level(depth) as usize * block
        } else {
            level.len().next_multiple_of(block)
        };
        level.resize(length, u16::MAX);
        level
            .iter_mut()
            .for_each(|bound| *bound = stored_bound(*bound));
    }
    upwards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compiler::address::side::Side, field::RangeSet};
    use firewall_ebpf::walk::find;
    use proptest::prelude::*;

    /// Every value next to a bound must be found in its class.
    fn check<K: Key + crate::field::Value + std::hash::Hash, const LEVELS: usize>(
        sets: &[RangeSet<K>],
        key: impl Fn(K) -> (u64, u64),
    ) {
        let classes = Side::new(sets.iter().map(Some)).classes;
        let mut writer = Writer::new(1 << 24);
        let mut depths = Depths::default();
        let root = write(&classes.intervals, &mut depths, &mut writer)
            .unwrap()
            .root;
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
    }

    /// Below one value of the first digit, or as the first digit.
    fn nodes(sets: &[Vec<(u16, u16)>]) {
        for shift in [0, 16] {
            let widen = |&(first, last): &(u16, u16)| {
                let last = u32::from(last) << shift | ((1 << shift) - 1);
                (u32::from(first) << shift, last)
            };
            let sets: Vec<_> = sets
                .iter()
                .map(|set| RangeSet::from_ranges(set.iter().map(widen).collect()))
                .collect();
            check::<u32, 2>(&sets, |value| (u64::from(value) << 32, 0));
        }
    }

    #[test]
    fn nodes_of_every_size_find_their_digits() {
        for count in [1, 7, 8, 9, 72, 73, 584, 585, 4680, 4681, 20_000] {
            let step = 65_535 / (count + 1);
            let bounds = |set: u16| (0..count).map(move |n| (n * step + set, n * step + set));
            nodes(&[bounds(1).collect(), bounds(2).collect()]);
            nodes(&[bounds(1).collect()]);
        }
    }

    #[test]
    fn every_other_value_of_a_digit_fits_one_node() {
        let odd = (0..0x8000_u16).map(|n| (2 * n + 1, 2 * n + 1)).collect();
        nodes(&[odd]);
    }
}
