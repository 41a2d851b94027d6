//! Searches a hash table of single addresses for the slot of one.

use core::mem::offset_of;

use crate::{
    hash::{slot, spread},
    image::{HashNode, Memory, Reference},
};

/// The offset of the slot, of `bytes` bytes, that an address with this key has in the hash table at
/// `node`, if it has one, and the reference of those without.
#[inline(always)]
pub fn hash_slot<M: Memory + ?Sized>(
    image: &M,
    node: u32,
    key: u64,
    bytes: u32,
) -> (u32, Reference) {
    let HashNode {
        buckets,
        slots,
        background,
        table,
    } = hash_node(image, node);
    let (bucket, hash) = spread(key, buckets);
    let seed = u32::from(image.u16(HashNode::seed_at(node, bucket)));
    let number = slot(hash, seed, slots);
    (table.wrapping_add(number.wrapping_mul(bytes)), background)
}

/// The head of the hash table at `node`.
#[inline(always)]
pub fn hash_node<M: Memory + ?Sized>(image: &M, node: u32) -> HashNode {
    let (buckets, slots) = image.two_u32(node, offset_of!(HashNode, buckets));
    let (background, table) = image.two_u32(node, offset_of!(HashNode, background));
    HashNode {
        buckets,
        slots,
        background: Reference::from_bits(background),
        table,
    }
}
