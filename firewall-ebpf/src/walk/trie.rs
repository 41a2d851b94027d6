//! Searches a trie for the class of a key.

use super::search_tree::interval;
use crate::image::{
    AFTER_HEAD, AFTER_PAIR, Memory, NODE_PAGES, NODE_PAIR, NodeHead, Reference, page_number_at,
    paged_reference_at, reference_at,
};

/// The class of a key in the trie at `reference`, which has at most `LEVELS` levels.
#[inline(always)]
pub fn find<const LEVELS: usize, M: Memory + ?Sized>(
    image: &M,
    mut reference: Reference,
    mut high: u64,
    mut low: u64,
) -> u32 {
    for _ in 0..LEVELS {
        if reference.is_leaf() {
            break;
        }
        let below = descend(image, reference, (high >> 48) as u32);
        reference = Reference::from_bits(image.opaque_u32(below));
        high = image.opaque(high << 16 | low >> 48);
        low = image.opaque(low << 16);
    }
    image.opaque_u32(reference.class())
}

/// What the node at `reference` has for `digit`.
#[inline(always)]
fn descend<M: Memory + ?Sized>(image: &M, reference: Reference, digit: u32) -> u32 {
    let node = reference.offset();
    if reference.kind() == NODE_PAGES {
        return paged_entry(image, node, digit);
    }
    let head = NodeHead::from_bits(image.u32(node));
    let after_head = node.wrapping_add(AFTER_HEAD);
    if reference.kind() == NODE_PAIR {
        let (interval, _) = interval(image, head, node.wrapping_add(AFTER_PAIR), digit);
        image.u32(reference_at(after_head, interval & 1))
    } else {
        let (interval, references) = interval(image, head, after_head, digit);
        image.u32(reference_at(references, interval))
    }
}

/// What the pages of the node at `node` have for `digit`.
#[inline(always)]
pub(super) fn paged_entry<M: Memory + ?Sized>(image: &M, node: u32, digit: u32) -> u32 {
    let page = u32::from(image.u16(page_number_at(node, digit)));
    image.u32(paged_reference_at(node, page, digit))
}
