//! Hash tables of single addresses.
//!
//! They are perfect, by hash and displace (Belazzougui, Botelho, Dietzfelbinger: Hash, Displace,
//! and Compress, 2009): a key has a bucket ([`hash::spread`](crate::hash::spread)), the bucket a
//! seed, and key and seed together give the slot ([`hash::slot`](crate::hash::slot)). All other
//! addresses, and those whose slot has another address, have the node's *background*: a leaf, or
//! the trie of what are not single addresses. A slot that is not in use has address 0 and the
//! background.

use core::mem::offset_of;

use super::reference::Reference;

/// The head of a hash table of addresses. A `u16` for each bucket, its seed, follows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashNode {
    /// The number of buckets.
    pub buckets: u32,
    /// The number of slots.
    pub slots: u32,
    /// The reference for all addresses that have no slot.
    pub background: Reference,
    /// The offset of the slots.
    pub table: u32,
}

impl HashNode {
    /// The node as it is in the image.
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        [self.buckets, self.slots, self.background.bits(), self.table]
    }

    /// The offset of the seed of a bucket of the node at `node`.
    #[must_use]
    #[inline(always)]
    pub const fn seed_at(node: u32, bucket: u32) -> u32 {
        node.wrapping_add(size_of::<Self>() as u32)
            .wrapping_add(bucket.wrapping_mul(2))
    }
}

/// The slot of an IPv4 address.
///
/// | bits | |
/// | --- | --- |
/// | 0-31 | the address |
/// | 32-63 | the [`Reference`] |
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Slot(u64);

impl Ipv4Slot {
    /// The bytes of a slot.
    pub const BYTES: u32 = 8;

    /// The slot of an address.
    #[must_use]
    pub const fn new(address: u32, reference: Reference) -> Self {
        Self((reference.bits() as u64) << 32 | address as u64)
    }

    /// The slot in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The address.
    #[must_use]
    #[inline(always)]
    pub const fn address(self) -> u32 {
        self.0 as u32
    }

    /// The reference.
    #[must_use]
    #[inline(always)]
    pub const fn reference(self) -> Reference {
        Reference::from_bits((self.0 >> 32) as u32)
    }
}

/// The slot of an IPv6 address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Slot {
    /// The most significant half of the address.
    pub high: u64,
    /// The least significant half of the address.
    pub low: u64,
    /// The [`Reference`], in the lower half of the word.
    pub reference: u64,
}

impl Ipv6Slot {
    /// The bytes of a slot.
    pub const BYTES: u32 = size_of::<Self>() as u32;

    /// The slot of an address, by its halves.
    #[must_use]
    pub const fn new(high: u64, low: u64, reference: Reference) -> Self {
        Self {
            high,
            low,
            reference: reference.bits() as u64,
        }
    }

    /// The slot as it is in the image.
    #[must_use]
    pub const fn words(&self) -> [u64; 3] {
        [self.high, self.low, self.reference]
    }
}

const _: () = assert!(size_of::<HashNode>() == 16);
// What the walker loads two words at a time.
const _: () = assert!(
    offset_of!(HashNode, buckets).is_multiple_of(8)
        && offset_of!(HashNode, background).is_multiple_of(8)
);
