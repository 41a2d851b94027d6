//! Reads pairs: from the classes of both addresses to the rule that decides.

use core::mem::offset_of;

use super::{branchless::unless, fields::fields, found::Found, leaves::resolve, records::record};
use crate::{
    hash::{pair_key, slot, spread},
    image::{Item, Leaf, Memory, Pair, Section},
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
    let leaf_at = |leaves: u32, index: u32| {
        Leaf::from_bits(image.u64(leaves.wrapping_add(index.wrapping_mul(8))))
    };
    // All leaves are loaded before any is resolved, so that the loads overlap.
    let leaves = [
        leaf_at(src.leaves, src.flags.leaf_index(dst.wide)),
        leaf_at(dst.leaves, dst.flags.leaf_index(src.wide)),
        leaf_at(wide, cell),
        if src.flags.may_be_paired(dst.flags) {
            pair(image, section, src_class, dst_class)
        } else {
            Leaf::EMPTY
        },
    ];
    let mut best = Item::NONE;
    for leaf in leaves {
        best = best.first(resolve(image, leaf, signatures, l4));
    }
    Found {
        item: best,
        src_row: src.row,
        dst_row: dst.row,
    }
}

/// The leaf of a pair of classes.
#[inline(always)]
fn pair<M: Memory + ?Sized>(image: &M, section: M::Head, src: u32, dst: u32) -> Leaf {
    let (seeds, buckets) = fields!(image, section, Section, pair_seeds, pair_buckets);
    let (bucket, hash) = spread(pair_key(src, dst), buckets);
    let seed = u32::from(image.u16(seeds.wrapping_add(bucket.wrapping_mul(2))));
    let (pairs, slots) = fields!(image, section, Section, pairs, pair_slots);
    let number = slot(hash, seed, slots);
    let at = pairs.wrapping_add(number.wrapping_mul(size_of::<Pair>() as u32));
    let leaf = image.u64(at.wrapping_add(offset_of!(Pair, leaf) as u32));
    let classes = image.u64(at.wrapping_add(offset_of!(Pair, src) as u32));
    let difference = classes ^ Pair::classes(src, dst);
    Leaf::from_bits(unless(difference, leaf, Leaf::EMPTY.bits()))
}
