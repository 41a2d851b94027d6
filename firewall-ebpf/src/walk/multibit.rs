//! Searches a multibit trie for the class of an address.

use crate::image::{MULTIBIT_LEVELS, Memory, PAGE, multibit_below, multibit_entry_at};

/// The class of the key in the upper 32 bits of `key`, in the multibit trie whose root lies at
/// `root`.
#[inline(always)]
pub(super) fn find_multibit<M: Memory + ?Sized>(image: &M, root: u32, key: u64) -> u32 {
    let mut number = 0_u32;
    for level in 0..MULTIBIT_LEVELS {
        let digit = (key >> (32 + multibit_below(level))) as u32 & (PAGE - 1);
        number = image.u16(multibit_entry_at(root, number, digit)).into();
    }
    number
}
