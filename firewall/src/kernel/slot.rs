//! Counter slots, and how many a map has.

use std::fmt;

use firewall_ebpf::abi;
use serde::{Deserialize, Serialize};

/// An entry of the counters map that the program counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(u32);

impl Slot {
    /// The slot of this number.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The slot's number.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of slots that a counters map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Capacity(u32);

impl Capacity {
    /// The minimum number of slots of a new map: with room for the first rules of a rule set that has none yet,
    /// since another map needs another program.
    pub(crate) const MIN: Self = Self(2 * abi::FIRST_RULE_SLOT);

    /// The maximum number of slots of a map: the entries of both halves have 32-bit numbers.
    pub(crate) const MAX: u32 = 1 << 30;

    /// The capacity of an existing map with this many slots.
    pub(crate) const fn of_slots(slots: u32) -> Self {
        Self(slots)
    }

    /// The number of slots.
    pub(crate) const fn slots(self) -> u32 {
        self.0
    }

    /// The smallest capacity, a power of two, that holds the slots; `None` when no map does.
    pub(crate) fn holding<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Option<Self> {
        let last = slots.into_iter().max();
        let needed = last.map_or(0, |slot| slot.0.saturating_add(1));
        let capacity = needed.max(Self::MIN.0).checked_next_power_of_two()?;
        (capacity <= Self::MAX).then_some(Self(capacity))
    }

    /// Whether the map has the slot.
    pub(crate) const fn holds(self, slot: Slot) -> bool {
        slot.0 < self.0
    }
}
