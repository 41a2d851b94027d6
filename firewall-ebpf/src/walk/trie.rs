//! Searches a trie for the class of a key.

use super::search_tree::interval;
use crate::image::{LEAF, Memory, NODE_KIND, NODE_PAGES, NODE_PAIR, PAGE, PAGE_NUMBERS};

/// The class of a key in the trie at `reference`, which has at most `LEVELS` levels.
#[inline(always)]
pub fn find<const LEVELS: usize, M: Memory + ?Sized>(
    image: &M,
    mut reference: u32,
    mut high: u64,
    mut low: u64,
) -> u32 {
    for _ in 0..LEVELS {
        if reference & LEAF != 0 {
            break;
        }
        reference = image.opaque_u32(descend(image, reference, (high >> 48) as u32));
        high = image.opaque(high << 16 | low >> 48);
        low = image.opaque(low << 16);
    }
    image.opaque_u32(reference & !LEAF)
}

/// What the node at `reference` has for `digit`.
#[inline(always)]
fn descend<M: Memory + ?Sized>(image: &M, reference: u32, digit: u32) -> u32 {
    let kind = reference & NODE_KIND;
    let node = reference & !NODE_KIND;
    if kind == NODE_PAGES {
        return page_entry(image, node, digit);
    }
    let head = image.u32(node);
    let references = node.wrapping_add(8);
    if kind == NODE_PAIR {
        let (interval, _) = interval(image, head, node.wrapping_add(16), digit);
        image.u32(references.wrapping_add((interval & 1) * 4))
    } else {
        let (interval, values) = interval(image, head, references, digit);
        image.u32(values.wrapping_add(interval * 4))
    }
}

/// What the pages of the node at `node` have for `digit`.
#[inline(always)]
pub(super) fn page_entry<M: Memory + ?Sized>(image: &M, node: u32, digit: u32) -> u32 {
    let page = u32::from(image.u16(node.wrapping_add((digit >> 8) * 2)));
    let index = page.wrapping_mul(PAGE).wrapping_add(digit & (PAGE - 1));
    let pages = node.wrapping_add(PAGE_NUMBERS);
    image.u32(pages.wrapping_add(index.wrapping_mul(4)))
}
