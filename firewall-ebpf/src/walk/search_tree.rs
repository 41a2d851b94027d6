//! Searches the bounds of a node, eight at a time and without branches.

use crate::image::{BLOCK, BLOCK_BYTES, MAX_LEVELS, Memory, NodeHead, level_bytes};

/// The interval that holds `digit`, by the search tree at `tree`, and the offset behind the tree.
#[inline(always)]
pub(super) fn interval<M: Memory + ?Sized>(
    image: &M,
    head: NodeHead,
    tree: u32,
    digit: u32,
) -> (u32, u32) {
    let levels = head.levels();
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
        level = image.opaque_u32(level.wrapping_add(level_bytes(depth)));
    }
    let blocks = head.bounds().div_ceil(BLOCK);
    (
        image.opaque_u32(below),
        level.wrapping_add(blocks * BLOCK_BYTES),
    )
}

/// The number of bounds below `digit` in the block at `block`.
#[inline(always)]
pub(super) fn bounds_below<M: Memory + ?Sized>(image: &M, block: u32, digit: u32) -> u32 {
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
