//! The search for the class of an address, by a hash table or a trie of [`crate::image`].
//!
//! Like all of the walk free of branches on data, or else the verifier follows both sides at each
//! level.

use core::mem::offset_of;

use crate::{
    hash::{ipv6_key, slot, spread},
    image::{
        BLOCK, HashNode, LEAF, MAX_LEVELS, MAX_UNIFORM_LEVELS, MULTIBIT_LEVELS, MULTIBIT_NODE,
        Memory, NODE_HASH, NODE_KIND, NODE_MULTIBIT, NODE_PAGES, NODE_PAIR, NODE_UNIFORM, PAGE,
        PAGE_NUMBERS, UNIFORM_LEAF, multibit_below, tree_level,
    },
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

/// The offset of the slot, of `bytes` bytes, that an address with this key has in the hash table at
/// `node`, if it has one, and the reference of those without.
#[inline(always)]
pub fn hash_slot<M: Memory + ?Sized>(image: &M, node: u32, key: u64, bytes: u32) -> (u32, u32) {
    let HashNode {
        buckets,
        slots,
        background,
        table,
    } = hash_node(image, node);
    let (bucket, hash) = spread(key, buckets);
    let seeds = node.wrapping_add(size_of::<HashNode>() as u32);
    let seed = u32::from(image.u16(seeds.wrapping_add(bucket.wrapping_mul(2))));
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
        background,
        table,
    }
}

/// `yes` when there is no `difference`, else `no`. Without a branch: which one is as random as
/// packets are.
#[inline(always)]
pub(crate) const fn unless(difference: u64, yes: u64, no: u64) -> u64 {
    // All ones when some bit is set.
    let differs = ((difference | difference.wrapping_neg()) as i64 >> 63) as u64;
    yes ^ (yes ^ no) & differs
}

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

/// The class of the key in the upper 32 bits of `key`, in the multibit trie whose root lies at
/// `root`.
#[inline(always)]
fn find_multibit<M: Memory + ?Sized>(image: &M, root: u32, key: u64) -> u32 {
    let mut number = 0_u32;
    for level in 0..MULTIBIT_LEVELS {
        let digit = (key >> (32 + multibit_below(level))) as u32 & (PAGE - 1);
        let node = root.wrapping_add(number.wrapping_mul(MULTIBIT_NODE));
        number = image.u16(node.wrapping_add(digit * 2)).into();
    }
    number
}

/// The class of the key in the upper 32 bits of `key`, in the uniform trie at `root`.
#[inline(always)]
fn find_uniform<M: Memory + ?Sized>(image: &M, root: u32, key: u64) -> u32 {
    const BLOCK_BYTES: u32 = BLOCK * 2;
    let above_last = (root & NODE_KIND) - NODE_UNIFORM;
    let mut level = page_entry(image, root & !NODE_KIND, (key >> 48) as u32);
    let digit = (key >> 32) as u32 & 0xffff;
    let mut index = 0_u32;
    for depth in 0..MAX_UNIFORM_LEVELS - 1 {
        if depth == above_last {
            break;
        }
        let above = bounds_below(image, level.wrapping_add(index * BLOCK_BYTES), digit);
        index = image.opaque_u32(index.wrapping_mul(BLOCK).wrapping_add(above));
        level = image.opaque_u32(level.wrapping_add(tree_level(depth) * BLOCK_BYTES));
    }
    let leaf = level.wrapping_add(index.wrapping_mul(UNIFORM_LEAF));
    let interval = bounds_below(image, leaf, digit);
    image.u32(leaf.wrapping_add(BLOCK_BYTES + interval * 4))
}

/// What the pages of the node at `node` have for `digit`.
#[inline(always)]
fn page_entry<M: Memory + ?Sized>(image: &M, node: u32, digit: u32) -> u32 {
    let page = u32::from(image.u16(node.wrapping_add((digit >> 8) * 2)));
    let index = page.wrapping_mul(PAGE).wrapping_add(digit & (PAGE - 1));
    let pages = node.wrapping_add(PAGE_NUMBERS);
    image.u32(pages.wrapping_add(index.wrapping_mul(4)))
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

/// The interval that holds `digit`, by the search tree at `tree`, and the offset behind the tree.
#[inline(always)]
fn interval<M: Memory + ?Sized>(image: &M, head: u32, tree: u32, digit: u32) -> (u32, u32) {
    const BLOCK_BYTES: u32 = BLOCK * 2;
    let count = head & 0xffff;
    let levels = head >> 16;
    let mut level = tree;
    let mut below = 0_u32;
    for depth in 0..MAX_LEVELS {
        let block = level.wrapping_add(below.wrapping_mul(BLOCK_BYTES));
        below = below
            .wrapping_mul(BLOCK)
            .wrapping_add(bounds_below(image, block, digit));
        below = image.opaque_u32(below);
        if depth + 1 >= levels {
            break;
        }
        level = image.opaque_u32(level.wrapping_add(tree_level(depth) * BLOCK_BYTES));
    }
    let blocks = count.div_ceil(BLOCK);
    (
        image.opaque_u32(below),
        level.wrapping_add(blocks * BLOCK_BYTES),
    )
}

/// The number of bounds below `digit` in the block at `block`.
#[inline(always)]
fn bounds_below<M: Memory + ?Sized>(image: &M, block: u32, digit: u32) -> u32 {
    count_below([image.u64(block), image.u64(block.wrapping_add(8))], digit)
}

/// The number of bounds below `digit`, from the complements of eight.
///
/// In each 16-bit lane `digit > bound` exactly when `digit + !bound` carries out of the lane: the
/// carry out of the lower 15 bits is added apart, and that out of the top bit is the majority of
/// three bits.
#[inline(always)]
fn count_below(complements: [u64; 2], digit: u32) -> u32 {
    const ONES: u64 = 0x0001_0001_0001_0001;
    const LOW: u64 = ONES * 0x7fff;
    let digits = u64::from(digit).wrapping_mul(ONES);
    let low = digits & LOW;
    let carries = |word: u64| {
        let sum = low.wrapping_add(word & LOW);
        ((digits & word | (digits | word) & sum) >> 15) & ONES
    };
    let each = carries(complements[0]).wrapping_add(carries(complements[1]));
    (each.wrapping_mul(ONES) >> 48) as u32
}

#[cfg(test)]
mod tests {
    use super::count_below;

    #[test]
    fn bounds_are_compared_as_numbers() {
        let edges = [0_u16, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
        for digit in edges {
            for bound in edges {
                for lane in 0..8 {
                    // The other lanes hold what is below, or not, any digit but the first.
                    for others in [0_u128, u128::MAX] {
                        let mask = 0xffff << (16 * lane);
                        let word = others & !mask | u128::from(!bound) << (16 * lane) & mask;
                        let found = count_below([word as u64, (word >> 64) as u64], digit.into());
                        let full = if others == 0 || digit == 0 { 0 } else { 7 };
                        assert_eq!(found, full + u32::from(bound < digit));
                    }
                }
            }
        }
    }
}
