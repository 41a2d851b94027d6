//! Walks over rows: counts, and finds rules that fit no pair.

use core::mem::offset_of;

use super::{counts::Counts, found::Found};
use crate::image::{COUNT, Entry, Item, MAX_WALK, Memory, Section};

/// Counts in the rules of the rows that count and come before the item found, and returns the
/// entry of the first rule that decides.
#[inline(always)]
pub(super) fn walk_rows<M: Memory + ?Sized, C: Counts>(
    image: &M,
    section: M::Head,
    found: &Found,
    l4: u32,
    counts: &mut C,
) -> Entry {
    let best = found.item;
    if image.field(section, offset_of!(Section, summaries)) == 0 {
        return best.entry();
    }
    let stride = image.field(section, offset_of!(Section, stride));
    let row = |rows: usize, class: u32| {
        image
            .field(section, rows)
            .wrapping_add(class.wrapping_mul(stride))
    };
    let src = row(offset_of!(Section, src_rows), found.src_row);
    let dst = row(offset_of!(Section, dst_rows), found.dst_row);
    let l4 = row(offset_of!(Section, l4_rows), l4);
    let meet = |word: u32| {
        let at = word.wrapping_mul(8);
        image.u64(src.wrapping_add(at))
            & image.u64(dst.wrapping_add(at))
            & image.u64(l4.wrapping_add(at))
    };
    let summaries = image.field(section, offset_of!(Section, summaries));
    let items = image.field(section, offset_of!(Section, items));
    // Opaque, or else the position would be a different constant on each path through the loop
    // and the verifier could not merge them.
    let mut next = image.opaque_u32(0);
    let mut words = 0_u64;
    let mut word = 0_u32;
    let mut rules = 0_u64;
    for _ in 0..MAX_WALK {
        if rules == 0 {
            if words == 0 {
                if next == summaries {
                    return best.entry();
                }
                words = meet(next);
                next = next.wrapping_add(1);
            }
            if words != 0 {
                word = next
                    .wrapping_sub(1)
                    .wrapping_mul(64)
                    .wrapping_add(lowest(words));
                words &= words - 1;
                rules = meet(summaries.wrapping_add(word));
            }
        }
        if rules != 0 {
            let rule = word.wrapping_mul(64).wrapping_add(lowest(rules));
            rules &= rules - 1;
            let item = Item::from_bits(image.u64(items.wrapping_add(rule.wrapping_mul(8))));
            if item > best {
                return best.entry();
            }
            let found = item.entry();
            if found.what() != COUNT {
                return found;
            }
            counts.count(found.slot());
        }
        rules = image.opaque(rules);
        words = image.opaque(words);
        next = image.opaque_u32(next);
        word = image.opaque_u32(word);
    }
    Entry::BAD_IMAGE
}

/// The index of the lowest bit that is set in `word`, which is not 0.
///
/// BPF has no instruction for it: the lowest bit, multiplied by a de Bruijn sequence, brings a
/// different 6-bit number to the top for each position (Leiserson, Prokop, Randall: Using
/// de Bruijn Sequences to Index a 1 in a Computer Word, 1998).
#[inline(always)]
fn lowest(word: u64) -> u32 {
    const SEQUENCE: u64 = 0x0218_a392_cd3d_5dbf;
    const POSITIONS: [u8; 64] = {
        let mut positions = [0; 64];
        let mut bit = 0;
        while bit < 64 {
            positions[(SEQUENCE.wrapping_shl(bit) >> 58) as usize] = bit as u8;
            bit += 1;
        }
        positions
    };
    static TABLE: [u8; 64] = POSITIONS;
    let isolated = word & word.wrapping_neg();
    u32::from(TABLE[(isolated.wrapping_mul(SEQUENCE) >> 58) as usize])
}

#[cfg(test)]
mod tests {
    use super::lowest;

    #[test]
    fn the_lowest_bit_of_every_word_is_found() {
        for bit in 0..64 {
            for above in 0..64 {
                let word = 1_u64 << bit | (!0_u64 << bit) & (1 << above);
                assert_eq!(lowest(word), word.trailing_zeros());
            }
        }
    }
}
