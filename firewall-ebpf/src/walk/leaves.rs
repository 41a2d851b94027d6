//! Reads leaves: from a list of items to the first that the L4 class has.

use crate::image::{LIST, MAX_LIST, Memory, NONE, TABLE};

/// The first item of a leaf whose signature the L4 class has.
#[inline(always)]
pub(super) fn resolve<M: Memory + ?Sized>(image: &M, leaf: u64, signatures: u32, l4: u32) -> u64 {
    let has = |item: u64| {
        let signature = item as u32 & 0xffff;
        let word = image.u64(signatures.wrapping_add((signature >> 6) * 8));
        word >> (signature & 63) & 1
    };
    if (leaf >> 16) as u32 & 3 != LIST {
        // All ones below the sign when the class has not got the signature.
        return (leaf | has(leaf).wrapping_sub(1)) & NONE;
    }
    let count = leaf as u32 & 0xffff;
    let mut at = (leaf >> 18 << 3) as u32;
    if count == TABLE {
        let index = u32::from(image.u16(at.wrapping_add(l4.wrapping_mul(2))));
        return image.u64(at.wrapping_sub((index + 1) * 8));
    }
    let mut found = NONE;
    let mut left = count;
    for _ in 0..MAX_LIST {
        if left == 0 {
            break;
        }
        let item = image.u64(at);
        if has(item) != 0 {
            found = item;
            break;
        }
        at = image.opaque_u32(at.wrapping_add(8));
        left = image.opaque_u32(left - 1);
    }
    image.opaque(found)
}
