//! The search for the class of an address, by whichever structure the image has for it.
//!
//! Like all of the walk free of branches on data, or else the verifier follows both sides at each
//! level.

use super::{
    branchless::unless, hash::hash_slot, multibit::find_multibit, trie::find, uniform::find_uniform,
};
use crate::{
    hash::ipv6_key,
    image::{LEAF, Memory, NODE_HASH, NODE_KIND, NODE_MULTIBIT, NODE_UNIFORM},
};

/// The class of the IPv4 address in the upper 32 bits of `address`, by the trie at `reference`.
#[inline(always)]
pub fn find_ipv4<M: Memory + ?Sized>(image: &M, mut reference: u32, address: u64) -> u32 {
    if reference & (LEAF | NODE_KIND) == NODE_HASH {
        let address = address >> 32;
        let (at, background) = hash_slot(image, reference & !NODE_KIND, address, 8);
        let both = image.u64(at);
        let difference = both & 0xffff_ffff ^ address;
        reference = image.opaque_u32(unless(difference, both >> 32, background.into()) as u32);
    }
    let class = if reference & (LEAF | NODE_KIND) == NODE_MULTIBIT {
        find_multibit(image, reference & !NODE_KIND, address)
    } else if reference & LEAF == 0 && reference & NODE_KIND >= NODE_UNIFORM {
        find_uniform(image, reference, address)
    } else {
        find::<2, M>(image, reference, address, 0)
    };
    image.opaque_u32(class)
}

/// The class of an IPv6 address, by the trie at `reference`.
#[inline(always)]
pub fn find_ipv6<M: Memory + ?Sized>(image: &M, mut reference: u32, high: u64, low: u64) -> u32 {
    if reference & (LEAF | NODE_KIND) == NODE_HASH {
        let key = ipv6_key(high, low);
        let (at, background) = hash_slot(image, reference & !NODE_KIND, key, 24);
        let word = |index: u32| image.u64(at.wrapping_add(index * 8));
        let difference = (word(0) ^ high) | (word(1) ^ low);
        reference = image.opaque_u32(unless(difference, word(2), background.into()) as u32);
    }
    find::<8, M>(image, reference, high, low)
}
