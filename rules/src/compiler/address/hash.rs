//! Hash tables of single addresses, and in-place updates of them.

use std::collections::BTreeMap;

use firewall_ebpf::{
    hash::spread,
    image::{HashNode, NODE_HASH, Reference},
    walk::{hash_node, hash_slot},
};

use super::{
    family::Address,
    moved::Move,
    trie::{Depths, Trie},
};
use crate::compiler::{
    classes::{ClassId, Identities},
    displacement::{Density, DisplacementSize, Placement, place, seed},
    error::CompileError,
    obstacle::Obstacle,
    writer::Writer,
};

/// The maximum number of addresses of an interval that are stored as single addresses: this many
/// slots take about as much space as the bounds of an interval in a trie.
pub(super) const FEW: usize = 4;

/// The same maximum if no trie remains then: a /24, the largest network that is often listed
/// address by address.
pub(super) const FEW_ALONE: usize = 256;

/// The density of a table with room for updates, which search a new seed for a bucket with one more
/// key.
const DENSITY: Density = Density {
    bucket: 3,
    load: 12,
};

/// The maximum number of times that a table is enlarged to find seeds for its buckets.
const TRIES: usize = 4;

/// The maximum number of addresses that one update adds to or removes from a table.
const MOST_MOVED: usize = 4096;

/// The intervals of a field, split into single addresses and the rest.
#[derive(Debug)]
pub(super) struct Split<A> {
    /// The first value of each interval and its class, without the single addresses.
    pub(crate) background: Vec<(A, ClassId)>,
    /// The single addresses, ascending, and their classes.
    pub(crate) singles: Vec<(A, ClassId)>,
}

impl<A: Address> Split<A> {
    /// Splits intervals in the form that [`super::trie::write`] takes; those of at most `few`
    /// addresses become single addresses. `None` if there would be more than `most`.
    pub(crate) fn new(intervals: &[(A, ClassId)], few: usize, most: usize) -> Option<Self> {
        let mut split = Self {
            background: Vec::new(),
            singles: Vec::new(),
        };
        let ends = intervals.iter().skip(1).map(|(next, _)| Some(*next));
        for (&(start, class), end) in intervals.iter().zip(ends.chain([None])) {
            let last = split.background.last().map(|(_, last)| *last);
            if last == Some(class) {
                continue;
            }
            let count = start.count_before(end);
            if count <= few {
                let addresses = std::iter::successors(Some(start), |address| address.next());
                let singles = addresses.take(count).map(|address| (address, class));
                split.singles.extend(singles);
                if split.singles.len() > most {
                    return None;
                }
            } else {
                // No interval precedes single addresses at the very beginning.
                let start = if last.is_none() { A::MIN } else { start };
                split.background.push((start, class));
            }
        }
        Some(split)
    }
}

/// A table whose keys have been placed.
pub(super) struct HashTable<'a, A> {
    singles: &'a [(A, ClassId)],
    placement: Placement,
}

impl<'a, A: Address> HashTable<'a, A> {
    /// A table of distinct addresses; `None` if no placement is found.
    pub(crate) fn new(singles: &'a [(A, ClassId)]) -> Option<Self> {
        let keys: Vec<u64> = singles.iter().map(|(address, _)| address.key()).collect();
        let sizes =
            std::iter::successors(Some(DENSITY.size(keys.len())), |size| Some(size.grown()));
        let placement = sizes.take(TRIES).find_map(|size| place(&keys, size))?;
        Some(Self { singles, placement })
    }

    /// Writes the table; all other addresses are searched in `background`.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`].
    pub(crate) fn write(
        &self,
        background: &Trie,
        depths: &mut Depths,
        writer: &mut Writer,
    ) -> Result<Trie, CompileError> {
        let Placement { seeds, slots } = &self.placement;
        writer
            .check(size_of::<HashNode>() + seeds.len() * 2 + slots.len() * size_of::<A::Slot>())?;
        writer.align(8)?;
        let root = writer.offset();
        let node = HashNode {
            buckets: seeds.len() as u32,
            slots: slots.len() as u32,
            background: background.root,
            table: HashNode::seed_at(root, seeds.len() as u32).next_multiple_of(8),
        };
        writer.u32s(node.words())?;
        writer.u16s(seeds.iter().copied())?;
        writer.align(8)?;
        for index in slots {
            let slot = match index.map(|index| self.singles[index as usize]) {
                Some((address, class)) => address.slot(Reference::leaf(class.0)),
                None => A::MIN.slot(background.root),
            };
            writer.bytes(slot.as_ref())?;
        }
        // The four words of the head are two loads; then the seed and the slot.
        let loads = 3 + slot_bytes::<A>() / 8 + background.loads;
        depths.note(0, loads);
        Ok(Trie {
            root: Reference::node(root, NODE_HASH),
            loads,
            chain: 3 + background.chain,
            nodes: 1 + background.nodes,
        })
    }
}

/// The bytes of a slot.
fn slot_bytes<A: Address>() -> u32 {
    size_of::<A::Slot>() as u32
}

/// A hash table in an image, to be changed in place.
struct Written<'a> {
    bytes: &'a mut [u8],
    node: u32,
    head: HashNode,
}

/// Moves addresses of the hash table at `reference` to other classes. Afterwards they are in its
/// slots, even if they are part of a long interval.
///
/// # Errors
///
/// [`Obstacle`] if the image does not have the class, there are too many addresses, or no seed is
/// found for a bucket.
pub(crate) fn update<A: Address>(
    bytes: &mut [u8],
    reference: Reference,
    moves: &[Move<A>],
    identities: &Identities,
) -> Result<(), Obstacle> {
    let node = reference.offset();
    let head = hash_node(bytes, node);
    let mut table = Written { bytes, node, head };
    let mut new: BTreeMap<u32, Vec<(A, Reference)>> = BTreeMap::new();
    let mut left = MOST_MOVED;
    for moved in moves {
        let mut next = Some(moved.first);
        while let Some(address) = next.filter(|address| *address <= moved.last) {
            next = address.next();
            left = left.checked_sub(1).ok_or(Obstacle::LongRange)?;
            let (at, _) = hash_slot(table.bytes, node, address.key(), slot_bytes::<A>());
            let (held, reference) = A::read_slot(table.bytes, at);
            let is_there = held == address;
            let background = address.class(table.bytes, head.background);
            let before = if is_there && reference != head.background {
                ClassId(reference.class())
            } else {
                background
            };
            let class = identities
                .moved(before, moved.sets)
                .ok_or(Obstacle::NewClass)?;
            match (is_there, class == background) {
                (true, true) => table.set(at, A::MIN, head.background),
                (true, false) => table.set(at, address, Reference::leaf(class.0)),
                (false, true) => (),
                (false, false) => {
                    let (bucket, _) = spread(address.key(), head.buckets);
                    let members = new.entry(bucket).or_default();
                    members.push((address, Reference::leaf(class.0)));
                }
            }
        }
    }
    table.insert(new)
}

impl Written<'_> {
    /// The address and the reference in a slot.
    fn slot<A: Address>(&self, slot: u32) -> (A, Reference) {
        A::read_slot(self.bytes, self.slot_at::<A>(slot))
    }

    fn slot_at<A: Address>(&self, slot: u32) -> u32 {
        self.head.table + slot * slot_bytes::<A>()
    }

    /// Changes the slot at an offset.
    fn set<A: Address>(&mut self, at: u32, address: A, reference: Reference) {
        let new = address.slot(reference);
        let old = &mut self.bytes[at as usize..][..new.as_ref().len()];
        old.copy_from_slice(new.as_ref());
    }

    fn set_seed(&mut self, bucket: u32, seed: u16) {
        let at = HashNode::seed_at(self.node, bucket) as usize;
        self.bytes[at..at + 2].copy_from_slice(&seed.to_le_bytes());
    }

    /// Adds addresses, by bucket, that have no slot.
    fn insert<A: Address>(
        &mut self,
        mut new: BTreeMap<u32, Vec<(A, Reference)>>,
    ) -> Result<(), Obstacle> {
        if new.is_empty() {
            return Ok(());
        }
        let HashNode {
            buckets,
            slots,
            background,
            ..
        } = self.head;
        // Addresses that the buckets already contain also need slots under the new seed.
        for slot in 0..slots {
            let (address, reference) = self.slot::<A>(slot);
            let (bucket, _) = spread(address.key(), buckets);
            if reference != background
                && let Some(members) = new.get_mut(&bucket)
            {
                members.push((address, reference));
                self.set(self.slot_at::<A>(slot), A::MIN, background);
            }
        }
        let mut taken = Vec::new();
        while let Some((bucket, members)) = new.pop_first() {
            let hashes = members
                .iter()
                .map(|(address, _)| spread(address.key(), buckets).1);
            let is_free = |slot: u32| self.slot::<A>(slot).1 == background;
            let Some(seed) = seed(hashes, slots, is_free, &mut taken) else {
                let homeless = new.into_values().flatten();
                return self.place_all(homeless.chain(members).collect());
            };
            self.set_seed(bucket, seed);
            for (slot, (address, reference)) in taken.iter().zip(members) {
                self.set(self.slot_at::<A>(*slot), address, reference);
            }
        }
        Ok(())
    }

    /// Finds places for these addresses and all that have slots.
    fn place_all<A: Address>(&mut self, mut all: Vec<(A, Reference)>) -> Result<(), Obstacle> {
        let HashNode {
            buckets,
            slots,
            background,
            ..
        } = self.head;
        let held = (0..slots).map(|slot| self.slot::<A>(slot));
        all.extend(held.filter(|(_, reference)| *reference != background));
        let keys: Vec<u64> = all.iter().map(|(address, _)| address.key()).collect();
        let size = DisplacementSize {
            buckets: buckets as usize,
            slots: slots as usize,
        };
        let placement = place(&keys, size).ok_or(Obstacle::Growth)?;
        for (bucket, seed) in (0..).zip(placement.seeds) {
            self.set_seed(bucket, seed);
        }
        for (slot, index) in (0..).zip(placement.slots) {
            let (address, reference) =
                index.map_or((A::MIN, background), |index| all[index as usize]);
            self.set(self.slot_at::<A>(slot), address, reference);
        }
        Ok(())
    }
}
