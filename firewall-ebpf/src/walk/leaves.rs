//! Reads leaves: from a list of items to the first that the L4 class has.

use crate::image::{Item, Leaf, MAX_LIST, Memory, table_index_at, table_item_at};

/// The first item of a leaf whose signature the L4 class has.
#[inline(always)]
pub(super) fn resolve<M: Memory + ?Sized>(image: &M, leaf: Leaf, signatures: u32, l4: u32) -> Item {
    let fits = |item: Item| {
        let signature = item.signature();
        let word = image.u64(signatures.wrapping_add(signature.word() * 8));
        word >> signature.bit() & 1
    };
    if let Some(item) = leaf.as_item() {
        return item.if_fits(fits(item));
    }
    let count = leaf.count();
    let mut at = leaf.offset();
    if count == Leaf::TABLE {
        let index = u32::from(image.u16(table_index_at(at, l4)));
        return Item::from_bits(image.u64(table_item_at(at, index)));
    }
    let mut found = Item::NONE;
    let mut left = count;
    for _ in 0..MAX_LIST {
        if left == 0 {
            break;
        }
        let item = Item::from_bits(image.u64(at));
        if fits(item) != 0 {
            found = item;
            break;
        }
        at = image.opaque_u32(at.wrapping_add(8));
        left = image.opaque_u32(left - 1);
    }
    Item::from_bits(image.opaque(found.bits()))
}
