//! Multibit tries: small tries of keys of 32 bits, in which each level has an entry for every value
//! of its bits.

use std::collections::{HashMap, hash_map::Entry};

use firewall_ebpf::image::{
    MULTIBIT_LEVELS, Memory as _, NODE_MULTIBIT, PAGE, Reference, multibit_below, multibit_entry_at,
};

use super::trie::{Depths, Key, Trie};
use crate::compiler::{classes::ClassId, error::CompileError, writer::Writer};

/// The maximum number of bytes of a multibit trie, so that the part that packets use fits into a
/// second-level cache.
const MAX_BYTES: usize = 1 << 20;

/// The number of entries of a node.
const LENGTH: usize = PAGE as usize;

/// The nodes of a multibit trie.
pub(crate) struct Multibit {
    /// The entries of all nodes as they are in the image, those of the root first.
    entries: Vec<u16>,
}

impl Multibit {
    /// The trie of intervals in the form that [`trie::write`](super::trie::write) takes; `None` if
    /// keys do not have 32 bits or the trie would be too large.
    pub(super) fn new<K: Key>(intervals: &[(K, ClassId)]) -> Option<Self> {
        // A bound needs at most one node per level, so far too many bounds are rejected early.
        if K::DIGITS != 2 || intervals.len() > MAX_BYTES / 8 {
            return None;
        }
        let number = |key: K| u64::from(key.digit(0)) << 16 | u64::from(key.digit(1));
        let intervals: Option<Vec<(u64, u16)>> = intervals
            .iter()
            .map(|(start, class)| Some((number(*start), u16::try_from(class.0).ok()?)))
            .collect();
        let mut nodes = Nodes {
            intervals: &intervals?,
            entries: vec![0; LENGTH],
            known: HashMap::new(),
        };
        let root = nodes.entries(0, 0)?;
        nodes.entries[..root.len()].copy_from_slice(&root);
        Some(Self {
            entries: nodes.entries,
        })
    }

    pub(super) fn write(
        self,
        depths: &mut Depths,
        writer: &mut Writer,
    ) -> Result<Trie, CompileError> {
        writer.align(8)?;
        let root = writer.offset();
        writer.u16s(self.entries)?;
        writer.align(8)?;
        let loads = MULTIBIT_LEVELS;
        depths.note(0, loads);
        Ok(Trie {
            root: Reference::node(root, NODE_MULTIBIT),
            loads,
            chain: loads,
            nodes: 1,
        })
    }
}

struct Nodes<'a> {
    /// The first key of each interval, and its class.
    intervals: &'a [(u64, u16)],
    entries: Vec<u16>,
    /// The numbers of the nodes of each level below the root.
    known: HashMap<(u32, Vec<u16>), u16>,
}

impl Nodes<'_> {
    /// The entries of the node at `level` for the keys from `start` on; `None` when there are too
    /// many nodes.
    fn entries(&mut self, level: u32, start: u64) -> Option<Vec<u16>> {
        let below = multibit_below(level);
        let mut entries = Vec::with_capacity(LENGTH);
        let mut interval = self.intervals.partition_point(|(first, _)| *first <= start) - 1;
        let mut constant = None;
        for digit in 0..u64::from(PAGE) {
            let first = start + (digit << below);
            let next = |interval: usize| {
                self.intervals
                    .get(interval + 1)
                    .map_or(1 << 32, |(at, _)| *at)
            };
            while next(interval) <= first {
                interval += 1;
            }
            let (_, class) = self.intervals[interval];
            let is_constant = next(interval) >= first + (1 << below);
            entries.push(if below == 0 {
                class
            } else if !is_constant {
                let entries = self.entries(level + 1, first)?;
                self.number(level + 1, entries)?
            } else if let Some((_, number)) = constant.filter(|(known, _)| *known == class) {
                number
            } else {
                let number = self.constant(level + 1, class)?;
                constant = Some((class, number));
                number
            });
        }
        Some(entries)
    }

    /// The number of the node at `level` in which all keys are of one class.
    fn constant(&mut self, level: u32, class: u16) -> Option<u16> {
        let entry = if multibit_below(level) == 0 {
            class
        } else {
            self.constant(level + 1, class)?
        };
        self.number(level, vec![entry; LENGTH])
    }

    /// The number of a node, a new one when it is the first of its kind.
    fn number(&mut self, level: u32, entries: Vec<u16>) -> Option<u16> {
        let node = match self.known.entry((level, entries)) {
            Entry::Occupied(node) => return Some(*node.get()),
            Entry::Vacant(node) => node,
        };
        let number = u16::try_from(self.entries.len() / LENGTH).ok()?;
        self.entries.extend(&node.key().1);
        node.insert(number);
        (self.entries.len() * 2 <= MAX_BYTES).then_some(number)
    }
}

/// The first value of each interval of the multibit trie at `root`, and its class.
pub(super) fn read<K: Key>(image: &[u8], root: Reference) -> Vec<(K, ClassId)> {
    let mut known = HashMap::new();
    let runs = read_node(image, root.offset(), 0, 0, &mut known);
    let key = |at: u64| K::starting_with((at >> 16) as u16, at as u16);
    runs.into_iter()
        .map(|(at, class)| (key(at), ClassId(class.into())))
        .collect()
}

/// The first key, from that of the node on, of each run of keys of one class in a node.
fn read_node(
    image: &[u8],
    root: u32,
    level: u32,
    number: u16,
    known: &mut HashMap<(u32, u16), Vec<(u64, u16)>>,
) -> Vec<(u64, u16)> {
    if let Some(runs) = known.get(&(level, number)) {
        return runs.clone();
    }
    let below = multibit_below(level);
    let mut runs: Vec<(u64, u16)> = Vec::new();
    for digit in 0..PAGE {
        let entry = image.u16(multibit_entry_at(root, number.into(), digit));
        let inner = if below == 0 {
            vec![(0, entry)]
        } else {
            read_node(image, root, level + 1, entry, known)
        };
        for (at, class) in inner {
            if runs.last().is_none_or(|(_, last)| *last != class) {
                runs.push(((u64::from(digit) << below) + at, class));
            }
        }
    }
    known.insert((level, number), runs.clone());
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::compiler::address::search::assert_found;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_are_found_in_their_class(
            starts in prop::collection::btree_set(
                prop_oneof![any::<u32>(), 0..4_u32, 0xffff_fffc..=u32::MAX, 0x0a00_0000..0x0a00_1000_u32],
                0..30,
            ),
        ) {
            let starts: BTreeSet<u32> = starts.into_iter().chain([0]).collect();
            let class = |index: u32| ClassId(index % 7);
            let intervals: Vec<_> = starts.into_iter().zip((0..).map(class)).collect();
            let multibit = Multibit::new(&intervals).unwrap();
            let mut writer = Writer::new(1 << 24);
            let trie = multibit.write(&mut Depths::default(), &mut writer).unwrap();
            let image = writer.finish();
            prop_assert!(trie.root.is_multibit());
            assert_found(&image, trie.root, &intervals);
            prop_assert_eq!(read::<u32>(&image, trie.root), intervals);
        }
    }

    #[test]
    fn large_ones_are_refused() {
        let scattered = |count: u32| -> Vec<(u32, ClassId)> {
            let start = |index: u32| (index * (u32::MAX / count), ClassId(index % 2));
            (0..count).map(start).collect()
        };
        assert!(Multibit::new(&scattered(4)).is_some());
        assert!(Multibit::new(&scattered(10_000)).is_none());
        assert!(Multibit::new(&[(0_u32, ClassId(0)), (1, ClassId(1 << 16))]).is_none());
        assert!(Multibit::new(&[(0_u128, ClassId(0))]).is_none());
    }
}
