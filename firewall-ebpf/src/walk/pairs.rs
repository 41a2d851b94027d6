//! Pairs: from the classes of both addresses to the rule that decides.

use core::mem::offset_of;

use super::{Found, fields};
use crate::{
    hash::{pair_key, slot, spread},
    image::{
        BY_WIDE, EMPTY, LIST, MAX_LIST, Memory, NONE, PAIRED, Pair, Record, Records, Section, TABLE,
    },
    search::unless,
};

#[inline(always)]
pub(super) fn walk_pairs<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    src_class: u32,
    dst_class: u32,
    upper: u32,
) -> Found {
    let src = record(image, section, offset_of!(Section, src_records), src_class);
    let dst = record(image, section, offset_of!(Section, dst_records), dst_class);
    let (signatures, stride) = fields!(image, section, Section, signatures, signature_stride);
    let signatures = signatures.wrapping_add(stride.wrapping_mul(upper));
    let (wide, columns) = fields!(image, section, Section, wide, wide_columns);
    let cell = columns.wrapping_mul(src.wide).wrapping_add(dst.wide);
    let leaf_at = |leaves: u32, index: u32| image.u64(leaves.wrapping_add(index.wrapping_mul(8)));
    // All leaves are loaded before any is resolved, so that the loads overlap.
    let leaves = [
        leaf_at(src.leaves, dst.wide & by_wide(src.flags)),
        leaf_at(dst.leaves, src.wide & by_wide(dst.flags)),
        leaf_at(wide, cell),
        if src.flags & dst.flags & PAIRED != 0 {
            pair(image, section, src_class, dst_class)
        } else {
            EMPTY
        },
    ];
    let mut best = NONE;
    for leaf in leaves {
        best = min(best, resolve(image, leaf, signatures, upper));
    }
    Found {
        item: best,
        src_row: src.row,
        dst_row: dst.row,
    }
}

#[inline(always)]
fn record<M: Memory + ?Sized>(image: &M, section: M::Head, records: usize, class: u32) -> Record {
    let offset = image.field(section, records + offset_of!(Records, offset));
    let last = image.field(section, records + offset_of!(Records, last));
    let index = if class < last { class } else { last };
    let at = offset.wrapping_add(index.wrapping_mul(size_of::<Record>() as u32));
    let (wide, row) = image.two_u32(at, offset_of!(Record, wide));
    let (leaves, flags) = image.two_u32(at, offset_of!(Record, leaves));
    Record {
        wide,
        row,
        leaves,
        flags,
    }
}

/// All ones when the record has a leaf for each wide class, else 0.
#[inline(always)]
fn by_wide(flags: u32) -> u32 {
    0_u32.wrapping_sub(flags & BY_WIDE)
}

/// The leaf of a pair of classes.
#[inline(always)]
fn pair<M: Memory + ?Sized>(image: &M, section: M::Head, src: u32, dst: u32) -> u64 {
    let (seeds, buckets) = fields!(image, section, Section, pair_seeds, pair_buckets);
    let (bucket, hash) = spread(pair_key(src, dst), buckets);
    let seed = u32::from(image.u16(seeds.wrapping_add(bucket.wrapping_mul(2))));
    let (pairs, slots) = fields!(image, section, Section, pairs, pair_slots);
    let number = slot(hash, seed, slots);
    let at = pairs.wrapping_add(number.wrapping_mul(size_of::<Pair>() as u32));
    let leaf = image.u64(at.wrapping_add(offset_of!(Pair, leaf) as u32));
    let classes = image.u64(at.wrapping_add(offset_of!(Pair, src) as u32));
    let difference = classes ^ (u64::from(dst) << 32 | u64::from(src));
    unless(difference, leaf, EMPTY)
}

/// The smaller of two items.
#[inline(always)]
fn min(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    b.wrapping_add(difference & ((difference as i64 >> 63) as u64))
}

/// The first item of a leaf whose signature the upper-layer class has.
#[inline(always)]
fn resolve<M: Memory + ?Sized>(image: &M, leaf: u64, signatures: u32, upper: u32) -> u64 {
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
        let index = u32::from(image.u16(at.wrapping_add(upper.wrapping_mul(2))));
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
