//! Sections: the tables for one kind of packet.

use core::mem::offset_of;

use super::{header::Header, records::Records, reduction::Step};
use crate::{abi::MIN_IMAGE_SIZE, field::FIELDS};

/// The tables for one kind of packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The trie of source addresses.
    pub src: u32,
    /// The trie of destination addresses.
    pub dst: u32,
    /// How classes lead to a rule: [`MODE_DIRECT_TABLE`], [`MODE_GRID`] or [`MODE_PAIRS`].
    pub mode: u32,
    /// Bit `f` is set when step `f` is in use.
    pub steps_used: u32,
    /// The steps that make the L4 class, one for each field.
    pub steps: [Step; FIELDS],
    /// Direct table: the number of L4 classes.
    pub l4_classes: u32,
    /// Direct table: the offset of a `u32` for each `(src * dst_classes + dst) * l4_classes + l4`,
    /// an entry with [`DIRECT`](super::DIRECT), or the offset of the first entry of a list that
    /// ends with the first entry that does not count.
    pub direct_table: u32,
    /// Direct table and grid: the number of destination classes.
    pub dst_classes: u32,
    /// Grid: the offset of the items by number.
    pub grid_items: u32,
    /// Grid: the offset of a `u32` for each `src * dst_classes + dst`, the offset of a leaf.
    pub grid: u32,
    /// Grid: the offset of the chunks.
    pub chunks: u32,
    /// Pairs: the records of the source classes.
    pub src_records: Records,
    /// Pairs: the records of the destination classes.
    pub dst_records: Records,
    /// Pairs: the offset of the signatures that L4 class 0 has, a bit each; no class has
    /// signature 0.
    pub signatures: u32,
    /// Pairs: the bytes from the signatures of one L4 class to those of the next.
    pub signature_stride: u32,
    /// Pairs: the offset of a leaf for each `src * wide_columns + dst` of the wide classes.
    pub wide: u32,
    /// Pairs: the number of wide destination classes.
    pub wide_columns: u32,
    /// Pairs: the offset of a `u16` for each bucket, the seed that its pairs are placed by.
    pub pair_seeds: u32,
    /// Pairs: the number of buckets.
    pub pair_buckets: u32,
    /// Pairs: the offset of the first [`Pair`](super::Pair).
    pub pairs: u32,
    /// Pairs: the number of pairs, those that no classes have included.
    pub pair_slots: u32,
    /// Rows: the offset of the row of source row class 0.
    pub src_rows: u32,
    /// Rows: the offset of the row of destination row class 0.
    pub dst_rows: u32,
    /// Rows: the offset of the row of L4 class 0.
    pub l4_rows: u32,
    /// Rows: the bytes of one row.
    pub stride: u32,
    /// Rows: the summary words of one row; 0 when the section has no rows.
    pub summaries: u32,
    /// Rows: the offset of the items.
    pub items: u32,
}

/// [`Section::mode`]: the direct table.
pub const MODE_DIRECT_TABLE: u32 = 0;
/// [`Section::mode`]: pairs of classes, and rows.
pub const MODE_PAIRS: u32 = 1;
/// [`Section::mode`]: the grid, and rows.
pub const MODE_GRID: u32 = 2;

/// The offset of the section for IPv4.
pub const SECTION_IPV4: u32 = size_of::<Header>() as u32;
/// The offset of the section for IPv6.
pub const SECTION_IPV6: u32 = SECTION_IPV4 + size_of::<Section>() as u32;
/// The offset of the section for all other EtherTypes.
pub const SECTION_OTHER: u32 = SECTION_IPV6 + size_of::<Section>() as u32;

/// The bits of the offset of a section.
pub const HEAD_MASK: u32 = 0x3f8;

const _: () = assert!(
    SECTION_IPV4 & HEAD_MASK == SECTION_IPV4
        && SECTION_IPV6 & HEAD_MASK == SECTION_IPV6
        && SECTION_OTHER & HEAD_MASK == SECTION_OTHER
        && HEAD_MASK as usize + size_of::<Section>() <= MIN_IMAGE_SIZE as usize
);

// What the walker loads two words at a time.
const _: () = {
    let starts = [
        SECTION_IPV4 as usize,
        SECTION_IPV6 as usize,
        SECTION_OTHER as usize,
        offset_of!(Section, src),
        offset_of!(Section, mode),
        offset_of!(Section, steps),
        offset_of!(Section, l4_classes),
        offset_of!(Section, dst_classes),
        offset_of!(Section, grid),
        offset_of!(Section, src_records),
        offset_of!(Section, dst_records),
        offset_of!(Section, signatures),
        offset_of!(Section, wide),
        offset_of!(Section, pair_seeds),
        offset_of!(Section, pairs),
    ];
    let mut index = 0;
    while index < starts.len() {
        assert!(starts[index].is_multiple_of(8));
        index += 1;
    }
};
const _: () = assert!(size_of::<Section>() == 16 + 16 * FIELDS + 24 + 16 + 32 + 24);
