//! Sections: the tables for one kind of packet.

use core::mem::offset_of;

use super::{header::Header, records::Records, reduction::Step, reference::Reference};
use crate::{
    abi::{Direction, MIN_IMAGE_SIZE},
    field::{FIELDS, FieldSet},
    state::State,
};

/// The tables for one kind of packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The search structure of source addresses.
    pub src: Reference,
    /// The search structure of destination addresses.
    pub dst: Reference,
    /// How classes lead to a rule: [`MODE_DIRECT_TABLE`], [`MODE_GRID`] or [`MODE_PAIRS`].
    pub mode: u32,
    /// The fields whose steps are in use.
    pub steps_used: FieldSet,
    /// The steps that make the L4 class, one for each field.
    pub steps: [Step; FIELDS],
    /// Direct table: the number of L4 classes.
    pub l4_classes: u32,
    /// Direct table: the offset of a [`Cell`](super::Cell) for each
    /// `(src * dst_classes + dst) * l4_classes + l4`.
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

impl Section {
    /// The words of a section.
    pub const WORDS: usize = size_of::<Self>() / 4;

    /// The section as it is in the image.
    #[must_use]
    pub fn words(&self) -> [u32; Self::WORDS] {
        let &Self {
            src,
            dst,
            mode,
            steps_used,
            steps,
            l4_classes,
            direct_table,
            dst_classes,
            grid_items,
            grid,
            chunks,
            src_records,
            dst_records,
            signatures,
            signature_stride,
            wide,
            wide_columns,
            pair_seeds,
            pair_buckets,
            pairs,
            pair_slots,
            src_rows,
            dst_rows,
            l4_rows,
            stride,
            summaries,
            items,
        } = self;
        let head = [src.bits(), dst.bits(), mode, steps_used.bits()];
        let tail = [
            l4_classes,
            direct_table,
            dst_classes,
            grid_items,
            grid,
            chunks,
            src_records.offset,
            src_records.last,
            dst_records.offset,
            dst_records.last,
            signatures,
            signature_stride,
            wide,
            wide_columns,
            pair_seeds,
            pair_buckets,
            pairs,
            pair_slots,
            src_rows,
            dst_rows,
            l4_rows,
            stride,
            summaries,
            items,
        ];
        let steps = steps.iter().flat_map(Step::words);
        let all = head
            .iter()
            .copied()
            .chain(steps)
            .chain(tail.iter().copied());
        let mut words = [0; Self::WORDS];
        for (word, value) in words.iter_mut().zip(all) {
            *word = value;
        }
        words
    }
}

/// [`Section::mode`]: the direct table.
pub const MODE_DIRECT_TABLE: u32 = 0;
/// [`Section::mode`]: pairs of classes, and rows.
pub const MODE_PAIRS: u32 = 1;
/// [`Section::mode`]: the grid, and rows.
pub const MODE_GRID: u32 = 2;

/// The offset of the section for IPv4 packets in.
pub const SECTION_IPV4: u32 = size_of::<Header>() as u32;
/// The offset of the section for IPv6 packets in.
pub const SECTION_IPV6: u32 = SECTION_IPV4 + size_of::<Section>() as u32;
/// The offset of the section for packets in with any other EtherType.
pub const SECTION_OTHER: u32 = SECTION_IPV6 + size_of::<Section>() as u32;

/// The bytes of the sections of one direction.
const DIRECTION_BYTES: u32 = SECTION_OTHER + size_of::<Section>() as u32 - SECTION_IPV4;

/// The bytes of the sections of both directions for one state.
const STATE_BYTES: u32 = 2 * DIRECTION_BYTES;

/// The offset of what follows the sections of an image whose rules do not ask for states.
pub const SECTIONS_END: u32 = SECTION_IPV4 + STATE_BYTES;

/// Stands for the number of a state: the sections for packets in that a packet out may be an answer to.
///
/// Of the rules they have those for [`State::New`], as far as these depend on what such a packet must
/// have been like: its addresses, ports, protocol and interface. A rule that passes is asked for no more
/// than that, and one that drops and asks for more is left out.
pub const REVERSE: u32 = State::ALL.len() as u32;

/// The offset of what follows the sections of an image with sections for each state.
pub const STATE_SECTIONS_END: u32 = SECTION_IPV4 + (REVERSE + 1) * STATE_BYTES;

/// The offset of the section of a direction for the packets that [`SECTION_IPV4`], [`SECTION_IPV6`]
/// or [`SECTION_OTHER`] stands for.
///
/// It is that of [`State::New`], and of all states in an image whose rules do not ask for them.
#[must_use]
#[inline(always)]
pub const fn section_offset(direction: Direction, section: u32) -> u32 {
    section + direction.index() * DIRECTION_BYTES
}

/// The bytes from a section of [`State::New`] to that of a state, given by its number. Packets that
/// are not IP have no state, and the section of [`State::New`].
#[must_use]
#[inline(always)]
pub const fn state_offset(state: u32) -> u32 {
    state * STATE_BYTES
}

/// The bits of the offset of a section.
pub const HEAD_MASK: u32 = 0x3ff8;

const _: () = {
    let sections = [SECTION_IPV4, SECTION_IPV6, SECTION_OTHER];
    let mut index = 0;
    while index < sections.len() {
        let of_in = section_offset(Direction::In, sections[index]);
        assert!(of_in == sections[index]);
        let mut state = 0;
        while state <= REVERSE {
            let of_out = section_offset(Direction::Out, sections[index]) + state_offset(state);
            let of_in = of_in + state_offset(state);
            assert!(of_in & HEAD_MASK == of_in && of_in.is_multiple_of(8));
            assert!(of_out & HEAD_MASK == of_out && of_out.is_multiple_of(8));
            assert!(of_out < STATE_SECTIONS_END);
            state += 1;
        }
        index += 1;
    }
    assert!(HEAD_MASK as usize + size_of::<Section>() <= MIN_IMAGE_SIZE as usize);
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;

    #[test]
    fn words_lie_where_the_walker_reads_them() {
        let step = Step {
            lookup: 101,
            classes: 102,
            table: 103,
            padding: 104,
        };
        let mut section = Section {
            src: Reference::from_bits(1),
            dst: Reference::from_bits(2),
            mode: 3,
            steps_used: FieldSet::from_bits(4),
            l4_classes: 5,
            direct_table: 6,
            dst_classes: 7,
            grid_items: 8,
            grid: 9,
            chunks: 10,
            src_records: Records {
                offset: 11,
                last: 12,
            },
            dst_records: Records {
                offset: 13,
                last: 14,
            },
            signatures: 15,
            signature_stride: 16,
            wide: 17,
            wide_columns: 18,
            pair_seeds: 19,
            pair_buckets: 20,
            pairs: 21,
            pair_slots: 22,
            src_rows: 23,
            dst_rows: 24,
            l4_rows: 25,
            stride: 26,
            summaries: 27,
            items: 28,
            ..Section::default()
        };
        section.steps[Field::Length as usize] = step;
        let words = section.words();
        let at = |offset: usize| words[offset / 4];
        let found = [
            at(offset_of!(Section, src)),
            at(offset_of!(Section, dst)),
            at(offset_of!(Section, mode)),
            at(offset_of!(Section, steps_used)),
            at(offset_of!(Section, l4_classes)),
            at(offset_of!(Section, direct_table)),
            at(offset_of!(Section, dst_classes)),
            at(offset_of!(Section, grid_items)),
            at(offset_of!(Section, grid)),
            at(offset_of!(Section, chunks)),
            at(offset_of!(Section, src_records) + offset_of!(Records, offset)),
            at(offset_of!(Section, src_records) + offset_of!(Records, last)),
            at(offset_of!(Section, dst_records) + offset_of!(Records, offset)),
            at(offset_of!(Section, dst_records) + offset_of!(Records, last)),
            at(offset_of!(Section, signatures)),
            at(offset_of!(Section, signature_stride)),
            at(offset_of!(Section, wide)),
            at(offset_of!(Section, wide_columns)),
            at(offset_of!(Section, pair_seeds)),
            at(offset_of!(Section, pair_buckets)),
            at(offset_of!(Section, pairs)),
            at(offset_of!(Section, pair_slots)),
            at(offset_of!(Section, src_rows)),
            at(offset_of!(Section, dst_rows)),
            at(offset_of!(Section, l4_rows)),
            at(offset_of!(Section, stride)),
            at(offset_of!(Section, summaries)),
            at(offset_of!(Section, items)),
        ];
        assert_eq!(found, core::array::from_fn(|index| index as u32 + 1));
        let step = offset_of!(Section, steps) + size_of::<Step>() * Field::Length as usize;
        let found = [
            at(step + offset_of!(Step, lookup)),
            at(step + offset_of!(Step, classes)),
            at(step + offset_of!(Step, table)),
            at(step + offset_of!(Step, padding)),
        ];
        assert_eq!(found, [101, 102, 103, 104]);
    }
}
