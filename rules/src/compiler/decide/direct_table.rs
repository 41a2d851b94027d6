//! The direct table of a section: for each combination of classes, the list of entries up to the
//! rule that decides.

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::image::{Cell, Entry, MAX_COUNTS, MODE_DIRECT_TABLE, Section};

use crate::{
    compiler::{
        address::Side,
        bit_vectors::{can_be_made, meet, ones},
        error::CompileError,
        l4::L4Key,
        plan::Part,
        rules::Rules,
        writer::Writer,
    },
    field::Value,
};

/// The maximum number of cells: 256 KiB, which the second-level cache holds.
const MAX_CELLS: usize = 1 << 16;

/// The distinct lists of entries, and for each cell the number of its list.
pub(crate) struct Cells {
    lists: Vec<Vec<Entry>>,
    cells: Vec<usize>,
    dst_classes: usize,
    upper_classes: usize,
}

impl Cells {
    /// The cells of a section; `None` if there would be too many, or a cell would have more `count`
    /// rules than a walk visits.
    pub(crate) fn new<A: Value + Hash>(
        rules: &Rules<'_>,
        src: &Side<'_, A>,
        dst: &Side<'_, A>,
        upper: &L4Key,
    ) -> Option<Self> {
        let classes = [src.classes.len(), dst.classes.len(), upper.classes.len()];
        let cells = classes.into_iter().fold(1, usize::saturating_mul);
        if cells > MAX_CELLS || !can_be_made(&classes, rules.len()) {
            return None;
        }
        let all: Vec<usize> = (0..rules.len()).collect();
        let (src_rows, dst_rows, upper_rows) = (src.rows(), dst.rows(), upper.rows(&all));
        let mut found = Self {
            lists: Vec::new(),
            cells: Vec::with_capacity(cells),
            dst_classes: dst.classes.len(),
            upper_classes: upper.classes.len(),
        };
        let mut numbers = HashMap::new();
        let mut both = vec![0; src_rows.words()];
        for src in src_rows.iter() {
            for dst in dst_rows.iter() {
                meet(&mut both, src, dst);
                for upper in upper_rows.iter() {
                    let matching = ones(both.iter().zip(upper).map(|(a, b)| a & b));
                    let list = list(rules, matching)?;
                    let next = found.lists.len();
                    let number = *numbers.entry(list).or_insert_with_key(|list| {
                        found.lists.push(list.clone());
                        next
                    });
                    found.cells.push(number);
                }
            }
        }
        Some(found)
    }

    /// Writes the cells.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`].
    pub(crate) fn write(
        &self,
        section: &mut Section,
        writer: &mut Writer,
    ) -> Result<Part, CompileError> {
        let start = writer.len();
        writer.align(4)?;
        let mut words = Vec::with_capacity(self.lists.len());
        for list in &self.lists {
            if let [entry] = list[..] {
                words.push(Cell::entry(entry).bits());
                continue;
            }
            words.push(Cell::list(writer.offset()).bits());
            writer.u32s(list.iter().map(|entry| entry.bits()))?;
        }
        section.mode = MODE_DIRECT_TABLE;
        section.dst_classes = self.dst_classes as u32;
        section.l4_classes = self.upper_classes as u32;
        section.direct_table = writer.offset();
        writer.u32s(self.cells.iter().map(|list| words[*list]))?;
        let lengths = self.lists.iter().map(Vec::len);
        let longest = lengths.filter(|length| *length > 1).max().unwrap_or(0);
        Ok(Part::Cells {
            cells: self.cells.len(),
            bytes: writer.len() - start,
            // Three fields of the section, the cell and the list, if there is one.
            loads: 4 + longest as u32,
        })
    }
}

/// The entries up to the first rule that decides; `None` when too many count before it.
fn list(rules: &Rules<'_>, matching: impl Iterator<Item = usize>) -> Option<Vec<Entry>> {
    let mut list = Vec::new();
    for rule in matching {
        let entry = rules.entry(rule);
        if !rules.counts(rule) {
            list.push(entry);
            return Some(list);
        }
        if list.len() == MAX_COUNTS as usize {
            return None;
        }
        list.push(entry);
    }
    list.push(Entry::NO_MATCH);
    Some(list)
}
