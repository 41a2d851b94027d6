//! The search for the class of an address, by whichever structure the image has for it.
//!
//! Like all of the walk free of branches on data, or else the verifier follows both sides at each
//! level.

use core::mem::offset_of;

use super::{
    branchless::unless, hash::hash_slot, multibit::find_multibit, trie::find, uniform::find_uniform,
};
use crate::{
    hash::ipv6_key,
    image::{Ipv4Slot, Ipv6Slot, Memory, Reference},
};

/// The class of the IPv4 address in the upper 32 bits of `address`, by the search structure
/// at `reference`.
#[inline(always)]
pub fn find_ipv4<M: Memory + ?Sized>(image: &M, mut reference: Reference, address: u64) -> u32 {
    if reference.is_hash() {
        let address = address >> 32;
        let (at, background) = hash_slot(image, reference.offset(), address, Ipv4Slot::BYTES);
        let slot = Ipv4Slot::from_bits(image.u64(at));
        let difference = u64::from(slot.address()) ^ address;
        let held = slot.reference().bits().into();
        let found = unless(difference, held, background.bits().into()) as u32;
        reference = Reference::from_bits(image.opaque_u32(found));
    }
    let class = if reference.is_multibit() {
        find_multibit(image, reference.offset(), address)
    } else if reference.is_small() {
        find_uniform(image, reference, address)
    } else {
        find::<2, M>(image, reference, address, 0)
    };
    image.opaque_u32(class)
}

/// The class of an IPv6 address, by the search structure at `reference`.
#[inline(always)]
pub fn find_ipv6<M: Memory + ?Sized>(
    image: &M,
    mut reference: Reference,
    high: u64,
    low: u64,
) -> u32 {
    if reference.is_hash() {
        let key = ipv6_key(high, low);
        let (at, background) = hash_slot(image, reference.offset(), key, Ipv6Slot::BYTES);
        let word = |field: usize| image.u64(at.wrapping_add(field as u32));
        let difference =
            (word(offset_of!(Ipv6Slot, high)) ^ high) | (word(offset_of!(Ipv6Slot, low)) ^ low);
        let held = word(offset_of!(Ipv6Slot, reference));
        let found = unless(difference, held, background.bits().into()) as u32;
        reference = Reference::from_bits(image.opaque_u32(found));
    }
    find::<8, M>(image, reference, high, low)
}
