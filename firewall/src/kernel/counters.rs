//! The counters map.
//!
//! Its entries are two halves of equal length, the capacity. The program counts in the first half:
//! entry `s` is slot `s`. Entry `capacity + s` holds what slot `s` had counted before the map
//! took the place of a smaller one; only user space writes there, so that carrying counts over
//! never meets a packet being counted. Readers add the two.

use std::path::Path;

use aya::{
    maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use firewall_ebpf::abi::Counter;

use crate::slots::{Capacity, Slot};

/// A count of packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Count {
    /// Packets.
    pub(crate) packets: u64,
    /// Bytes from the Ethernet header on, without the frame check sequence.
    pub(crate) bytes: u64,
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

    /// What was counted since `earlier`; nothing when the counter began anew.
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

/// `Counter` as `aya` moves it: packets, bytes.
type Words = [u64; 2];

const _: () = assert!(size_of::<Words>() == size_of::<Counter>());
const _: () = assert!(std::mem::offset_of!(Counter, packets) == 0);

/// The counters map.
pub(crate) struct Counters {
    map: PerCpuArray<MapData, Words>,
    cpus: usize,
}

impl Counters {
    /// The entries of a map of this capacity.
    pub(crate) fn entries(capacity: Capacity) -> u32 {
        capacity.slots() * 2
    }

    /// The bytes of memory that the values of a map of this capacity take on all CPUs.
    pub(crate) fn memory(capacity: Capacity) -> Result<u64, CountersError> {
        let cpus = nr_cpus().map_err(|(path, source)| CountersError::Cpus { path, source })?;
        Ok(u64::from(Self::entries(capacity)) * (size_of::<Words>() * cpus) as u64)
    }

    /// Opens the map pinned to `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, CountersError> {
        let map = MapData::from_pin(path).map_err(CountersError::Open)?;
        Self::of(Map::PerCpuArray(map))
    }

    /// The counters in a map that is open.
    pub(super) fn of(map: Map) -> Result<Self, CountersError> {
        let cpus = nr_cpus().map_err(|(path, source)| CountersError::Cpus { path, source })?;
        Ok(Self {
            map: PerCpuArray::try_from(map).map_err(CountersError::Open)?,
            cpus,
        })
    }

    /// The number of slots.
    pub(crate) fn capacity(&self) -> Capacity {
        Capacity::of_slots(self.map.len() / 2)
    }

    /// What a slot has counted on all CPUs, in this map and the ones before it. A slot beyond the
    /// capacity has counted nothing.
    pub(crate) fn read(&self, slot: Slot) -> Result<Count, CountersError> {
        if !self.capacity().holds(slot) {
            return Ok(Count::default());
        }
        Ok(self
            .read_own(slot)?
            .plus(self.sum(slot, self.carried(slot))?))
    }

    /// What a slot has counted on all CPUs in this map alone.
    pub(crate) fn read_own(&self, slot: Slot) -> Result<Count, CountersError> {
        if !self.capacity().holds(slot) {
            return Ok(Count::default());
        }
        self.sum(slot, slot.number())
    }

    /// Sets a slot to 0. The image in force must not use it.
    pub(crate) fn zero(&mut self, slot: Slot) -> Result<(), CountersError> {
        self.set(slot, slot.number(), Count::default())?;
        self.set(slot, self.carried(slot), Count::default())
    }

    /// Sets what a slot had counted in the maps before this one.
    pub(crate) fn carry(&mut self, slot: Slot, count: Count) -> Result<(), CountersError> {
        self.set(slot, self.carried(slot), count)
    }

    fn carried(&self, slot: Slot) -> u32 {
        self.capacity().slots() + slot.number()
    }

    fn sum(&self, slot: Slot, entry: u32) -> Result<Count, CountersError> {
        let values = self
            .map
            .get(&entry, 0)
            .map_err(|source| CountersError::Read { slot, source })?;
        let counts = values
            .iter()
            .map(|&[packets, bytes]| Count { packets, bytes });
        Ok(counts.fold(Count::default(), Count::plus))
    }

    fn set(&mut self, slot: Slot, entry: u32, count: Count) -> Result<(), CountersError> {
        let failed = |source| CountersError::Write { slot, source };
        let mut values: Vec<Words> = vec![[0; 2]; self.cpus];
        if let Some(first) = values.first_mut() {
            *first = [count.packets, count.bytes];
        }
        let values = PerCpuValues::try_from(values).map_err(|error| failed(error.into()))?;
        self.map.set(entry, values, 0).map_err(failed)
    }
}
