//! Addresses as keys of tries.

use std::hash::Hash;

use firewall_ebpf::walk::find;

use super::{classes::ClassId, trie};
use crate::{
    ranges::{RangeSet, Value},
    ruleset::AddressSet,
};

/// An address of one family.
pub(super) trait Address: trie::Key + Value + Hash {
    /// The members of the family.
    fn of(set: &AddressSet) -> &RangeSet<Self>;
    /// The class of the address in the trie at `root`.
    fn class(self, image: &[u8], root: u32) -> ClassId;
}

impl Address for u32 {
    fn of(set: &AddressSet) -> &RangeSet<Self> {
        &set.v4
    }

    fn class(self, image: &[u8], root: u32) -> ClassId {
        ClassId(find::<2, [u8]>(image, root, u64::from(self) << 32, 0))
    }
}

impl Address for u128 {
    fn of(set: &AddressSet) -> &RangeSet<Self> {
        &set.v6
    }

    fn class(self, image: &[u8], root: u32) -> ClassId {
        let (high, low) = ((self >> 64) as u64, self as u64);
        ClassId(find::<8, [u8]>(image, root, high, low))
    }
}
