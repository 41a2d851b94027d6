//! Reads pairs: from the classes of both addresses to the rule that decides.

use core::mem::offset_of;

use super::{
    branchless::{min, unless},
    fields::fields,
    found::Found,
    leaves::resolve,
    records::{by_wide, record},
};
use crate::{
    hash::{pair_key, slot, spread},
    image::{EMPTY, Memory, NONE, PAIRED, Pair, Section},
};

/// The item of the rule that decides.
#[inline(always)]
pub(super) fn walk_pairs<M: Memory + ?Sized>(
    image: &M,
    section: M::Head,
    src_class: u32,
    dst_class: u32,
    l4: u32,
) -> Found {
    let src = record(image, section, offset_of!(Section, src_records), src_class);
    let dst = record(image, section, offset_of!(Section, dst_records), dst_class);
    let (signatures, stride) = fields!(image, section, Section, signatures, signature_stride);
    let signatures = signatures.wrapping_add(stride.wrapping_mul(l4));
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
        best = min(best, resolve(image, leaf, signatures, l4));
    }
    Found {
        item: best,
        src_row: src.row,
        dst_row: dst.row,
    }
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
