//! Addresses as keys of tries.

use std::hash::Hash;

use firewall_ebpf::{
    hash::ipv6_key,
    image::Memory as _,
    walk::{find_ipv4, find_ipv6},
};

use super::trie;
use crate::{
    compiler::classes::ClassId,
    field::{AddressSet, RangeSet, Value},
};

/// An address of one family.
pub(crate) trait Address: trie::Key + Value + Hash {
    /// The members of the family.
    fn of(set: &AddressSet) -> &RangeSet<Self>;
    /// The class of the address in the trie at `root`.
    fn class(self, image: &[u8], root: u32) -> ClassId;

    /// How many addresses there are from this one on before `end`, or before the end of all.
    fn count_before(self, end: Option<Self>) -> usize;

    /// What a hash table has for one address.
    type Slot: AsRef<[u8]>;
    /// The number that a hash table knows the address by.
    fn key(self) -> u64;
    /// The slot of the address.
    fn slot(self, reference: u32) -> Self::Slot;
    /// The address and the reference in the slot at `offset`.
    fn read_slot(image: &[u8], offset: u32) -> (Self, u32);
}

impl Address for u32 {
    fn of(set: &AddressSet) -> &RangeSet<Self> {
        &set.v4
    }

    fn class(self, image: &[u8], root: u32) -> ClassId {
        ClassId(find_ipv4(image, root, u64::from(self) << 32))
    }

    fn count_before(self, end: Option<Self>) -> usize {
        let last = end.map_or(Self::MAX, |end| end - 1);
        usize::try_from(last - self).map_or(usize::MAX, |more| more.saturating_add(1))
    }

    type Slot = [u8; 8];

    fn key(self) -> u64 {
        self.into()
    }

    fn slot(self, reference: u32) -> [u8; 8] {
        (u64::from(reference) << 32 | u64::from(self)).to_le_bytes()
    }

    fn read_slot(image: &[u8], offset: u32) -> (Self, u32) {
        (image.u32(offset), image.u32(offset + 4))
    }
}

impl Address for u128 {
    fn of(set: &AddressSet) -> &RangeSet<Self> {
        &set.v6
    }

    fn class(self, image: &[u8], root: u32) -> ClassId {
        let (high, low) = ((self >> 64) as u64, self as u64);
        ClassId(find_ipv6(image, root, high, low))
    }

    fn count_before(self, end: Option<Self>) -> usize {
        let last = end.map_or(Self::MAX, |end| end - 1);
        usize::try_from(last - self).map_or(usize::MAX, |more| more.saturating_add(1))
    }

    type Slot = [u8; 24];

    fn key(self) -> u64 {
        ipv6_key((self >> 64) as u64, self as u64)
    }

    fn slot(self, reference: u32) -> [u8; 24] {
        let words = [(self >> 64) as u64, self as u64, reference.into()];
        let mut slot = [0; 24];
        for (bytes, word) in slot.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        slot
    }

    fn read_slot(image: &[u8], offset: u32) -> (Self, u32) {
        let high = u128::from(image.u64(offset));
        let low = u128::from(image.u64(offset + 8));
        (high << 64 | low, image.u32(offset + 16))
    }
}
