//! Hash tables of single addresses.
//!
//! They are perfect, by hash and displace (Belazzougui, Botelho, Dietzfelbinger: Hash, Displace,
//! and Compress, 2009): a key has a bucket ([`hash::spread`](crate::hash::spread)), the bucket a
//! seed, and key and seed together give the slot ([`hash::slot`](crate::hash::slot)). A slot for
//! IPv4 is the address and its reference, two `u32`; one for IPv6 is the address as two `u64`, the
//! most significant first, and its reference as a `u64`. All other addresses, and those whose slot
//! has another address, have the node's *background*: a leaf, or the trie of what are not single
//! addresses. A slot that is not in use has address 0 and the background.

use core::mem::offset_of;

/// The head of a hash table of addresses. A `u16` for each bucket, its seed, follows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashNode {
    /// The number of buckets.
    pub buckets: u32,
    /// The number of slots.
    pub slots: u32,
    /// The reference for all addresses that have no slot.
    pub background: u32,
    /// The offset of the slots.
    pub table: u32,
}

const _: () = assert!(size_of::<HashNode>() == 16);
// What the walker loads two words at a time.
const _: () = assert!(
    offset_of!(HashNode, buckets).is_multiple_of(8)
        && offset_of!(HashNode, background).is_multiple_of(8)
);
