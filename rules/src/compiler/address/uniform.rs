//! Uniform tries: small tries of keys of 32 bits in which every search takes the same steps.

use std::collections::HashMap;

use firewall_ebpf::image::{
    BLOCK, MAX_UNIFORM_LEVELS, Memory as _, PAGE, Reference, UNIFORM_LEAF, level_bytes,
    page_number_at, paged_reference_at, stored_bound, tree_level, uniform_above_last,
    uniform_class_at, uniform_root,
};

use super::trie::{Depths, Key, Trie, levels, search_levels};
use crate::compiler::{classes::ClassId, error::CompileError, pages::pages, writer::Writer};

/// The maximum number of bytes of a uniform trie, so that caches hold it: if nodes differ much in
/// their number of bounds, it is several times as large as other tries.
const MAX_BYTES: usize = 1 << 18;

/// The first value of each interval of the uniform trie at `root`, and its class.
pub(super) fn read<K: Key>(image: &[u8], root: Reference) -> Vec<(K, ClassId)> {
    let levels = uniform_above_last(root) + 1;
    let root = root.offset();
    let mut known = HashMap::new();
    let mut intervals: Vec<(K, ClassId)> = Vec::new();
    for digit in 0..=u16::MAX {
        let page = u32::from(image.u16(page_number_at(root, digit.into())));
        let node = image.u32(paged_reference_at(root, page, digit.into()));
        let below = known
            .entry(node)
            .or_insert_with(|| read_node(image, node, levels));
        for &(second, class) in below.iter() {
            if intervals.last().is_none_or(|(_, last)| *last != class) {
                intervals.push((K::starting_with(digit, second), class));
            }
        }
    }
    intervals
}

/// The first digit of each interval of a node, and its class.
fn read_node(image: &[u8], node: u32, levels: u32) -> Vec<(u16, ClassId)> {
    let bounds = |start: u32, count: u32| {
        let bounds = (0..count).map(move |index| stored_bound(image.u16(start + index * 2)));
        bounds.take_while(|bound| *bound != u16::MAX)
    };
    let mut last_level = node;
    let mut blocks = 1;
    for depth in 0..levels - 1 {
        let places = tree_level(depth) * BLOCK;
        blocks = 1 + bounds(last_level, places).count() as u32;
        last_level += level_bytes(depth);
    }
    let mut intervals = Vec::new();
    for block in 0..blocks {
        let block = last_level + block * UNIFORM_LEAF;
        let class = |index: u32| ClassId(image.u32(uniform_class_at(block, index)));
        if intervals.is_empty() {
            intervals.push((0, class(0)));
        }
        for (index, bound) in (1..).zip(bounds(block, BLOCK)) {
            intervals.push((bound + 1, class(index)));
        }
    }
    intervals
}

/// The nodes of a uniform trie.
pub(crate) struct Uniform {
    /// The levels of the search tree of each node.
    levels: u32,
    /// The different nodes, as they are in the image.
    nodes: Vec<Vec<u8>>,
    /// The index of the node of each first digit.
    node_of: Vec<u32>,
}

impl Uniform {
    /// The trie of intervals in the form that [`trie::write`](super::trie::write) takes, which the
    /// first digit alone must not distinguish; `None` if keys do not have 32 bits or the trie would
    /// be too large.
    pub(super) fn new<K: Key>(intervals: &[(K, ClassId)]) -> Option<Self> {
        if K::DIGITS != 2 {
            return None;
        }
        let groups = || intervals.chunk_by(|a, b| a.0.digit(0) == b.0.digit(0));
        let bounds = |group: &[(K, ClassId)]| group.len() - usize::from(group[0].0.is_start(0));
        let most = groups().map(bounds).max()?;
        let levels = levels(most);
        if levels > MAX_UNIFORM_LEVELS {
            return None;
        }
        let mut uniform = Self {
            levels,
            nodes: Vec::new(),
            node_of: Vec::with_capacity(1 << 16),
        };
        let mut known = HashMap::new();
        let mut bytes = 0;
        let mut add = |bounds: Vec<u16>, classes: &[ClassId], nodes: &mut Vec<Vec<u8>>| {
            let node = node(bounds, classes, levels);
            let next = nodes.len() as u32;
            let index = *known.entry(node.clone()).or_insert(next);
            if index == next {
                bytes += node.len();
                nodes.push(node);
            }
            (bytes <= MAX_BYTES).then_some(index)
        };
        let mut class = ClassId(0);
        for group in groups() {
            let digit = usize::from(group[0].0.digit(0));
            let before = add(Vec::new(), &[class], &mut uniform.nodes)?;
            uniform.node_of.resize(digit, before);
            let (mut bounds, mut classes) = (Vec::new(), vec![class]);
            for (start, next) in group {
                match start.digit(1).checked_sub(1) {
                    Some(bound) => {
                        bounds.push(bound);
                        classes.push(*next);
                    }
                    None => classes = vec![*next],
                }
                class = *next;
            }
            let index = add(bounds, &classes, &mut uniform.nodes)?;
            uniform.node_of.push(index);
        }
        let last = add(Vec::new(), &[class], &mut uniform.nodes)?;
        uniform.node_of.resize(1 << 16, last);
        Some(uniform)
    }

    pub(super) fn write(
        &self,
        depths: &mut Depths,
        writer: &mut Writer,
    ) -> Result<Trie, CompileError> {
        writer.align(8)?;
        let mut offsets = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            offsets.push(writer.offset());
            writer.bytes(node)?;
        }
        let root = writer.offset();
        let digits: Vec<u32> = self
            .node_of
            .iter()
            .map(|node| offsets[*node as usize])
            .collect();
        let (numbers, pages) = pages(digits.chunks(PAGE as usize));
        writer.u16s(numbers)?;
        writer.u32s(pages.concat())?;
        // The page's number and its entry, the two words of a block at each level, the class.
        let loads = 3 + 2 * self.levels;
        depths.note(0, loads);
        Ok(Trie {
            root: uniform_root(root, self.levels),
            loads,
            chain: 3 + self.levels,
            nodes: 2,
        })
    }
}

/// A node with `bounds` between `classes`.
fn node(bounds: Vec<u16>, classes: &[ClassId], levels: u32) -> Vec<u8> {
    let mut tree = search_levels(bounds, levels);
    let last = tree.pop().unwrap_or_default();
    let mut node: Vec<u8> = tree
        .concat()
        .into_iter()
        .flat_map(u16::to_le_bytes)
        .collect();
    let block = BLOCK as usize;
    let blocks = last.chunks(block).map(<[u16]>::to_vec);
    // A node without bounds also has a block.
    let none = last.is_empty().then(|| vec![0; block]);
    for (index, bounds) in blocks.chain(none).enumerate() {
        node.extend(bounds.into_iter().flat_map(u16::to_le_bytes));
        let behind = classes.iter().skip(index * block).take(block + 1);
        node.extend(behind.flat_map(|class| class.0.to_le_bytes()));
        let end = node.len().next_multiple_of(8);
        node.resize(end, 0);
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::address::search::assert_found;
    use proptest::prelude::*;

    /// Intervals below a few first digits, many below some of them.
    fn intervals() -> impl Strategy<Value = Vec<(u32, ClassId)>> {
        let below = prop::collection::btree_set(any::<u16>(), 0..600);
        let digit = prop_oneof![0_u16..3, Just(0x0a00), 0xfffe..=0xffff_u16, any::<u16>()];
        prop::collection::btree_map(digit, below, 1..6).prop_map(|groups| {
            let starts = groups.iter().flat_map(|(first, below)| {
                let starts = below.iter().chain([&0, &u16::MAX]);
                starts.map(|second| u32::starting_with(*first, *second))
            });
            let starts: std::collections::BTreeSet<u32> = starts.chain([0]).collect();
            let class = |index: u32| ClassId(index % 7);
            starts.into_iter().zip((0..).map(class)).collect()
        })
    }

    proptest! {
        #[test]
        fn values_are_found_in_their_class(intervals in intervals()) {
            let Some(uniform) = Uniform::new(&intervals) else {
                return Ok(());
            };
            let mut writer = Writer::new(1 << 24);
            let trie = uniform.write(&mut Depths::default(), &mut writer).unwrap();
            let image = writer.finish();
            prop_assert!(trie.root.is_uniform());
            assert_found(&image, trie.root, &intervals);
            prop_assert_eq!(read::<u32>(&image, trie.root), intervals);
        }
    }

    #[test]
    fn nodes_of_every_length_are_uniform() {
        for count in [1, 2, 7, 8, 9, 10, 71, 72, 73, 74, 583, 584, 585] {
            let starts = (0..=count).map(|index| (index * 64, ClassId(index)));
            let intervals: Vec<_> = starts.collect();
            let uniform = Uniform::new(&intervals);
            assert_eq!(uniform.is_some(), count < 585, "{count}");
            if let Some(uniform) = uniform {
                let mut writer = Writer::new(1 << 24);
                let trie = uniform.write(&mut Depths::default(), &mut writer).unwrap();
                let image = writer.finish();
                assert_eq!(read::<u32>(&image, trie.root), intervals);
            }
        }
    }
}
