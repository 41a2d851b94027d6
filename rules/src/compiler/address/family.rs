//! Addresses as keys of tries.

use std::{hash::Hash, mem::offset_of};

use firewall_ebpf::{
    hash::ipv6_key,
    image::{Ipv4Slot, Ipv6Slot, Memory as _, Reference},
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
    fn class(self, image: &[u8], root: Reference) -> ClassId;

    /// The number of addresses from this one up to `end`, exclusive, or up to the last address.
    fn count_before(self, end: Option<Self>) -> usize;

    /// The contents of a hash table slot for one address.
    type Slot: AsRef<[u8]>;
    /// The key of the address in a hash table.
    fn key(self) -> u64;
    /// The slot of the address.
    fn slot(self, reference: Reference) -> Self::Slot;
    /// The address and the reference in the slot at `offset`.
    fn read_slot(image: &[u8], offset: u32) -> (Self, Reference);
}

impl Address for u32 {
    fn of(set: &AddressSet) -> &RangeSet<Self> {
        &set.v4
    }

    fn class(self, image: &[u8], root: Reference) -> ClassId {
        ClassId(find_ipv4(image, root, u64::from(self) << 32))
    }

    fn count_before(self, end: Option<Self>) -> usize {
        let last = end.map_or(Self::MAX, |end| end - 1);
        usize::try_from(last - self).map_or(usize::MAX, |more| more.saturating_add(1))
    }

    type Slot = [u8; Ipv4Slot::BYTES as usize];

    fn key(self) -> u64 {
        self.into()
    }

    fn slot(self, reference: Reference) -> Self::Slot {
        Ipv4Slot::new(self, reference).bits().to_le_bytes()
    }

    fn read_slot(image: &[u8], offset: u32) -> (Self, Reference) {
        let slot = Ipv4Slot::from_bits(image.u64(offset));
        (slot.address(), slot.reference())
    }
}

impl Address for u128 {
    fn of(set: &AddressSet) -> &RangeSet<Self> {
        &set.v6
    }

    fn class(self, image: &[u8], root: Reference) -> ClassId {
        let (high, low) = ((self >> 64) as u64, self as u64);
        ClassId(find_ipv6(image, root, high, low))
    }

    fn count_before(self, end: Option<Self>) -> usize {
        let last = end.map_or(Self::MAX, |end| end - 1);
        usize::try_from(last - self).map_or(usize::MAX, |more| more.saturating_add(1))
    }

    type Slot = [u8; Ipv6Slot::BYTES as usize];

    fn key(self) -> u64 {
        ipv6_key((self >> 64) as u64, self as u64)
    }

    fn slot(self, reference: Reference) -> Self::Slot {
        let (high, low) = ((self >> 64) as u64, self as u64);
        let mut slot = [0; Ipv6Slot::BYTES as usize];
        let words = Ipv6Slot::new(high, low, reference).words();
        for (bytes, word) in slot.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        slot
    }

    fn read_slot(image: &[u8], offset: u32) -> (Self, Reference) {
        let word = |field: usize| image.u64(offset + field as u32);
        let high = u128::from(word(offset_of!(Ipv6Slot, high)));
        let low = u128::from(word(offset_of!(Ipv6Slot, low)));
        let reference = word(offset_of!(Ipv6Slot, reference));
        (high << 64 | low, Reference::from_bits(reference as u32))
    }
}
