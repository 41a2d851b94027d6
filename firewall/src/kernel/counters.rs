//! The counters map.
//!
//! Its elements are blocks of counters (`firewall_ebpf::abi::CounterBlock`), and its counters two
//! halves of equal length, the capacity. The program counts in the first half: counter `s` is slot
//! `s`. To counter `capacity + s` only user space writes: it holds what slot `s` had counted before
//! the map took the place of a smaller one, or what is to be taken off so that the slot begins at 0.
//! So nothing that is written ever meets a packet being counted. Readers add the two.

use std::path::Path;

use aya::{
    maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use firewall_ebpf::abi::{BLOCK, Counter, CounterBlock};

use crate::kernel::{
    maps,
    slot::{Capacity, Slot},
};

/// A count of packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes from the Ethernet header on, without the frame check sequence.
    pub bytes: u64,
}

impl Count {
    /// The sum; both parts wrap, as the kernel's do.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }

    /// The difference; both parts wrap.
    #[must_use]
    fn less(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_sub(other.packets),
            bytes: self.bytes.wrapping_sub(other.bytes),
        }
    }

    /// The count since `earlier`; zero when the counter was reset.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

/// Why the counters could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountersError {
    /// The map could not be opened.
    #[error("the counters could not be opened")]
    Open(#[source] MapError),
    /// A counter could not be read.
    #[error("counter {slot} could not be read")]
    Read {
        /// Its slot.
        slot: Slot,
        /// What the kernel answered.
        source: MapError,
    },
    /// A counter could not be set.
    #[error("counter {slot} could not be set")]
    Write {
        /// Its slot.
        slot: Slot,
        /// What the kernel answered.
        source: MapError,
    },
    /// The number of CPUs is unknown.
    #[error("the number of CPUs could not be read from `{path}`")]
    Cpus {
        /// Where it stands.
        path: &'static str,
        /// Why it could not be read.
        source: std::io::Error,
    },
}

/// `CounterBlock` as `aya` moves it: packets, bytes.
type Words = [[u64; 2]; BLOCK as usize];

const _: () = assert!(size_of::<Words>() == size_of::<CounterBlock>());
const _: () = assert!(std::mem::offset_of!(Counter, packets) == 0);
const _: () = assert!(Capacity::MIN.slots().is_multiple_of(BLOCK));

/// The counters map.
pub(crate) struct Counters {
    map: PerCpuArray<MapData, Words>,
}

impl Counters {
    /// The elements of a map of this capacity.
    pub(crate) fn elements(capacity: Capacity) -> u32 {
        capacity.slots() / BLOCK * 2
    }

    /// The bytes of memory that the values of a map of this capacity take on all CPUs.
    pub(crate) fn memory(capacity: Capacity) -> Result<u64, CountersError> {
        let cpus = nr_cpus().map_err(|(path, source)| CountersError::Cpus { path, source })?;
        Ok(u64::from(Self::elements(capacity)) * (size_of::<Words>() * cpus) as u64)
    }

    /// Opens the map pinned to `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, CountersError> {
        let map = maps::open(path).map_err(CountersError::Open)?;
        Self::of(Map::PerCpuArray(map))
    }

    /// The counters in a map that is open.
    pub(super) fn of(map: Map) -> Result<Self, CountersError> {
        let map = PerCpuArray::try_from(map).map_err(CountersError::Open)?;
        Ok(Self { map })
    }

    /// The number of slots.
    pub(crate) fn capacity(&self) -> Capacity {
        Capacity::of_slots(self.map.len() / 2 * BLOCK)
    }

    /// The count of a slot on all CPUs, in this map and its predecessors; zero for a slot beyond
    /// the capacity.
    pub(crate) fn read(&self, slot: Slot) -> Result<Count, CountersError> {
        if !self.capacity().holds(slot) {
            return Ok(Count::default());
        }
        Ok(self
            .read_own(slot)?
            .plus(self.sum(slot, self.carried(slot))?))
    }

    /// The count of a slot on all CPUs in this map only.
    pub(crate) fn read_own(&self, slot: Slot) -> Result<Count, CountersError> {
        if !self.capacity().holds(slot) {
            return Ok(Count::default());
        }
        self.sum(slot, slot.number())
    }

    /// Resets slots to 0. The image in force must not use them.
    pub(crate) fn zero(&mut self, slots: &[Slot]) -> Result<(), CountersError> {
        let taken_off = |&slot: &Slot| Ok((slot, Count::default().less(self.read_own(slot)?)));
        let counts = slots.iter().map(taken_off).collect::<Result<_, _>>()?;
        self.carry(counts)
    }

    /// Sets the counts of slots in the predecessors of this map, each element in one step.
    pub(crate) fn carry(&mut self, mut counts: Vec<(Slot, Count)>) -> Result<(), CountersError> {
        counts.sort_unstable_by_key(|(slot, _)| *slot);
        let element = |slot: Slot| slot.number() / BLOCK;
        for counts in counts.chunk_by(|(one, _), (two, _)| element(*one) == element(*two)) {
            self.carry_in_element(counts)?;
        }
        Ok(())
    }

    /// The same for slots of one element.
    fn carry_in_element(&mut self, counts: &[(Slot, Count)]) -> Result<(), CountersError> {
        let Some(&(slot, _)) = counts.first() else {
            return Ok(());
        };
        let failed = |source| CountersError::Write { slot, source };
        let (element, _) = place(self.carried(slot));
        let values = self.map.get(&element, 0).map_err(failed)?;
        let mut values: Vec<Words> = values.iter().copied().collect();
        for (slot, count) in counts {
            let (_, at) = place(self.carried(*slot));
            // All on one CPU.
            for block in &mut values {
                block[at] = [0; 2];
            }
            if let Some(first) = values.first_mut() {
                first[at] = [count.packets, count.bytes];
            }
        }
        let values = PerCpuValues::try_from(values).map_err(|error| failed(error.into()))?;
        self.map.set(element, values, 0).map_err(failed)
    }

    fn carried(&self, slot: Slot) -> u32 {
        self.capacity().slots() + slot.number()
    }

    fn sum(&self, slot: Slot, counter: u32) -> Result<Count, CountersError> {
        let (element, at) = place(counter);
        let values = self
            .map
            .get(&element, 0)
            .map_err(|source| CountersError::Read { slot, source })?;
        let counts = values.iter().map(|block| {
            let [packets, bytes] = block[at];
            Count { packets, bytes }
        });
        Ok(counts.fold(Count::default(), Count::plus))
    }
}

/// The element that a counter is in, and its place there, which is below [`BLOCK`].
fn place(counter: u32) -> (u32, usize) {
    (counter / BLOCK, (counter % BLOCK) as usize)
}
