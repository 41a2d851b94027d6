//! The grid of a section: for each pair of address classes the list of remaining rules, and for
//! each list and L4 class the rule that decides. This is the last phase of recursive flow
//! classification (Gupta, McKeown: Packet Classification on Multiple Fields, 1999), for rule sets
//! with few pairs.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use firewall_ebpf::image::{CHUNK, Item, MODE_GRID, Section};

use super::rows;
use crate::{
    compiler::{
        address::Side,
        bit_vectors::{can_be_made, meet, ones},
        error::CompileError,
        kind::SectionKind,
        l4::{L4Key, SignatureId},
        plan::Part,
        rules::Rules,
        writer::Writer,
    },
    field::Value,
};

/// The maximum number of cells: 1 MiB.
const MAX_CELLS: usize = 1 << 18;

/// The maximum number of bytes of all leaves.
const MAX_LEAVES: usize = 1 << 22;

/// The maximum number of rules: their numbers have 16 bits, and 0 is no rule.
const MAX_RULES: usize = u16::MAX as usize;

/// The maximum number of chunks, whose numbers have 16 bits: 4 MiB.
const MAX_CHUNKS: usize = 1 << 16;

/// The maximum number of items of a list: an index has 8 bits, and 0 is no item.
const MAX_ITEMS: usize = 255;

/// The grid of a section.
pub(crate) struct Grid {
    /// The index of a leaf for each pair of address classes.
    cells: Vec<u32>,
    leaves: Vec<Leaf>,
    chunks: Chunks,
    dst_classes: usize,
}

/// The rules that remain for some pairs of address classes.
struct Leaf {
    /// The numbers of the chunks.
    row: Vec<u16>,
    /// The remaining rules, in order of precedence.
    rules: Vec<usize>,
}

impl Leaf {
    fn bytes(&self) -> usize {
        (self.row.len() + 1 + self.rules.len()) * size_of::<u16>()
    }
}

/// The different chunks.
#[derive(Default)]
struct Chunks {
    bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u16>,
}

impl Chunks {
    /// The numbers of the chunks that `indexes` consist of; `None` when there are too many.
    fn row(&mut self, indexes: &[u8]) -> Option<Vec<u16>> {
        indexes
            .chunks(CHUNK as usize)
            .map(|chunk| {
                if let Some(number) = self.known.get(chunk) {
                    return Some(*number);
                }
                if self.known.len() == MAX_CHUNKS {
                    return None;
                }
                let number = self.known.len() as u16;
                let end = self.bytes.len() + CHUNK as usize;
                self.bytes.extend_from_slice(chunk);
                self.bytes.resize(end, 0);
                self.known.insert(chunk.to_vec(), number);
                Some(number)
            })
            .collect()
    }
}

impl Grid {
    /// The grid of a section; `None` when it would be too large.
    pub(crate) fn new<A: Value + Hash>(
        rules: &Rules<'_>,
        src: &Side<'_, A>,
        dst: &Side<'_, A>,
        upper: &L4Key,
    ) -> Option<Self> {
        let classes = [src.classes.len(), dst.classes.len()];
        let cells = classes[0].saturating_mul(classes[1]);
        if cells > MAX_CELLS || rules.len() > MAX_RULES || !can_be_made(&classes, rules.len()) {
            return None;
        }
        let (src_rows, dst_rows) = (src.rows(), dst.rows());
        let mut grid = Self {
            cells: Vec::with_capacity(cells),
            leaves: Vec::new(),
            chunks: Chunks::default(),
            dst_classes: classes[1],
        };
        let mut by_bits = HashMap::<Vec<u64>, u32>::new();
        let mut by_rules = HashMap::<Vec<usize>, u32>::new();
        let mut by_signatures = HashMap::<Vec<SignatureId>, Vec<u16>>::new();
        let mut bytes = 0;
        let mut both = vec![0; src_rows.words()];
        for src in src_rows.iter() {
            for dst in dst_rows.iter() {
                meet(&mut both, src, dst);
                if let Some(number) = by_bits.get(&both) {
                    grid.cells.push(*number);
                    continue;
                }
                let list =
                    upper.reachable(ones(both.iter().copied()).filter(|rule| !rules.counts(*rule)));
                let next = grid.leaves.len() as u32;
                let number = *by_rules.entry(list.clone()).or_insert(next);
                if number == next {
                    if list.len() > MAX_ITEMS {
                        return None;
                    }
                    let signatures = list.iter().map(|rule| upper.signatures[*rule]).collect();
                    let row = match by_signatures.entry(signatures) {
                        Entry::Occupied(row) => row.get().clone(),
                        Entry::Vacant(row) => {
                            let first = upper.first_of(&list).into_iter();
                            let indexes: Vec<u8> = first.map(|index| index as u8).collect();
                            row.insert(grid.chunks.row(&indexes)?).clone()
                        }
                    };
                    let leaf = Leaf { row, rules: list };
                    bytes += leaf.bytes();
                    if bytes > MAX_LEAVES {
                        return None;
                    }
                    grid.leaves.push(leaf);
                }
                by_bits.insert(both.clone(), number);
                grid.cells.push(number);
            }
        }
        Some(grid)
    }

    /// Writes the grid, and rows for the rules that count.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(crate) fn write<A: Value + Hash>(
        &self,
        kind: SectionKind,
        rules: &Rules<'_>,
        (src, dst, upper): (&Side<'_, A>, &Side<'_, A>, &L4Key),
        section: &mut Section,
        writer: &mut Writer,
    ) -> Result<Vec<Part>, CompileError> {
        let start = writer.len();
        section.mode = MODE_GRID;
        section.dst_classes = self.dst_classes as u32;
        writer.align(8)?;
        section.chunks = writer.offset();
        writer.bytes(&self.chunks.bytes)?;
        let mut offsets = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            let numbers = leaf.rules.iter().rev().map(|rule| *rule as u16 + 1);
            writer.u16s(numbers.chain([0]))?;
            offsets.push(writer.offset());
            writer.u16s(leaf.row.iter().copied())?;
        }
        writer.align(8)?;
        section.grid_items = writer.offset();
        let items = (0..rules.len()).map(|rule| rules.item(rule, 0));
        let items = std::iter::once(Item::NONE).chain(items);
        writer.u64s(items.map(Item::bits))?;
        section.grid = writer.offset();
        writer.u32s(self.cells.iter().map(|leaf| offsets[*leaf as usize]))?;
        let mut parts = vec![Part::Grid {
            cells: self.cells.len(),
            lists: self.leaves.len(),
            bytes: writer.len() - start,
        }];
        let counting: Vec<usize> = (0..rules.len())
            .filter(|rule| rules.counts(*rule))
            .collect();
        if !counting.is_empty() {
            parts.push(rows::write(
                kind,
                rules,
                &counting,
                [
                    &src.rows_of(&counting),
                    &dst.rows_of(&counting),
                    &upper.rows(&counting),
                ],
                section,
                writer,
            )?);
        }
        Ok(parts)
    }
}
