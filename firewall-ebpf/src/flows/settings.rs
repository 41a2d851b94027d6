//! What user space decides: the element of a map of its own.

use core::mem::offset_of;

use super::hash;

/// The slots of a line.
pub const LINE_SLOTS: u32 = 4;

/// The bytes of a line: two words for each slot.
pub const LINE_BYTES: u32 = LINE_SLOTS * 16;

/// The lines whose tags are in one element of the map of tags, four bytes for each line.
pub const TAG_LINES: u32 = 16;

/// The number of secret keys: two of SipHash, and those of the hash of IPv4 tuples.
pub const HASH_KEYS: usize = 2 + hash::KEYS;

/// The number of timeouts.
pub const TIMEOUTS: usize = Settings::TIMEOUTS;

/// The 64-bit words of [`Settings`].
pub const SETTINGS_WORDS: usize = size_of::<Settings>() / 8;

/// What user space decides.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the kernel's jiffies are multiplied with for a number whose upper 32 bits are the clock's
    /// units: 2^32 / (4 x HZ).
    pub clock: u64,
    /// The secret keys, chosen when the table is made.
    pub keys: [u64; HASH_KEYS],
    /// How long a flow is kept that no packet has been seen of, in units of its stamp, at
    /// [`timeout_index`](super::timeout_index).
    pub timeouts: [u16; Self::TIMEOUTS],
    /// The kernel's ticks a second, for user space: programs have [`Self::clock`].
    pub hz: u64,
    /// Likewise the jiffies when `CLOCK_MONOTONIC` was 0: the kernel derives them from it.
    pub jiffies: u64,
    /// The kernel's numbers of the maps of lines, tags, addresses and events, for user space: these are one table only if
    /// they are named together.
    pub maps: [u32; 4],
    /// What is added to the clock, in its units: for who tries what happens later.
    pub later: u64,
    /// 0, which no verifier knows: what is XORed with it becomes opaque.
    pub zero: u64,
}

impl Settings {
    pub(super) const TIMEOUTS: usize = 32;

    /// The index of the word [`Self::clock`].
    pub const CLOCK: usize = offset_of!(Self, clock) / 8;
    /// The index of the word [`Self::hz`].
    pub const HZ: usize = offset_of!(Self, hz) / 8;
    /// The index of the word [`Self::jiffies`].
    pub const JIFFIES: usize = offset_of!(Self, jiffies) / 8;
    /// The index of the first of the words [`Self::maps`], two maps each.
    pub const MAPS: usize = offset_of!(Self, maps) / 8;
    /// The index of the word [`Self::later`].
    pub const LATER: usize = offset_of!(Self, later) / 8;
    /// The index of the word [`Self::zero`].
    pub const ZERO: usize = offset_of!(Self, zero) / 8;
    /// The index of the first of the words [`Self::keys`].
    pub const KEYS: usize = offset_of!(Self, keys) / 8;
    /// The offset of the timeouts in bytes.
    pub const TIMEOUTS_AT: usize = offset_of!(Self, timeouts);
}

const _: () = assert!(size_of::<Settings>() == 176);
