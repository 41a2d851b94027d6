//! A section as a grid: for each pair of address classes the list of rules that are left, and for
//! each list and upper-layer class the rule that decides. This is the last phase of recursive flow
//! classification (Gupta, McKeown: Packet Classification on Multiple Fields, 1999), for rule sets
//! that make few pairs.

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::image::{GridLeaf, MODE_GRID, NONE, Section};

use super::{
    CompileError,
    plan::Part,
    row_walk,
    rows::{self, meet, ones},
    rules::Rules,
    side::Side,
    upper::{SignatureId, Upper},
    view::Kind,
    writer::Writer,
};
use crate::ranges::Value;

/// The most cells: 512 KiB.
const MAX_CELLS: usize = 1 << 18;

/// The most bytes of all rows.
const MAX_ROWS: usize = 1 << 22;

/// The most items of a list: a row has bytes, and 0 is no item.
const MAX_ITEMS: usize = 255;

/// The grid of a section.
pub(super) struct Grid {
    cells: Vec<u16>,
    /// The number of the row and the rules of each leaf.
    leaves: Vec<(usize, Vec<usize>)>,
    rows: Vec<Vec<u8>>,
    dst_classes: usize,
}

impl Grid {
    /// The grid of a section; `None` when it would be too large.
    pub(super) fn new<A: Value + Hash>(
        rules: &Rules<'_>,
        src: &Side<'_, A>,
        dst: &Side<'_, A>,
        upper: &Upper,
    ) -> Option<Self> {
        let classes = [src.classes.len(), dst.classes.len()];
        let cells = classes[0].saturating_mul(classes[1]);
        if cells > MAX_CELLS || !rows::can_be_made(&classes, rules.len()) {
            return None;
        }
        let (src_rows, dst_rows) = (src.rows(), dst.rows());
        let mut grid = Self {
            cells: Vec::with_capacity(cells),
            leaves: Vec::new(),
            rows: Vec::new(),
            dst_classes: classes[1],
        };
        let mut by_bits = HashMap::<Vec<u64>, u16>::new();
        let mut by_rules = HashMap::<Vec<usize>, u16>::new();
        let mut by_signatures = HashMap::<Vec<SignatureId>, usize>::new();
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
                let next = grid.leaves.len();
                let number = match by_rules.get(&list) {
                    Some(number) => *number,
                    None => {
                        let number = u16::try_from(next).ok()?;
                        if list.len() > MAX_ITEMS {
                            return None;
                        }
                        let signatures = list.iter().map(|rule| upper.signatures[*rule]).collect();
                        let next = grid.rows.len();
                        let row = *by_signatures.entry(signatures).or_insert(next);
                        if row == next {
                            if (next + 1) * upper.classes.len() > MAX_ROWS {
                                return None;
                            }
                            let first = upper.first_of(&list).into_iter();
                            grid.rows.push(first.map(|index| index as u8).collect());
                        }
                        grid.leaves.push((row, list.clone()));
                        by_rules.insert(list, number);
                        number
                    }
                };
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
    pub(super) fn write<A: Value + Hash>(
        &self,
        kind: Kind,
        rules: &Rules<'_>,
        (src, dst, upper): (&Side<'_, A>, &Side<'_, A>, &Upper),
        section: &mut Section,
        writer: &mut Writer,
    ) -> Result<Vec<Part>, CompileError> {
        let start = writer.len();
        section.mode = MODE_GRID;
        section.dst_classes = self.dst_classes as u32;
        writer.align(2)?;
        section.grid = writer.offset();
        writer.u16s(self.cells.iter().copied())?;
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            rows.push(writer.offset());
            writer.bytes(row)?;
        }
        writer.align(8)?;
        let mut leaves = Vec::with_capacity(self.leaves.len());
        for (row, list) in &self.leaves {
            leaves.push(GridLeaf {
                row: rows[*row],
                items: writer.offset(),
            });
            let items = list.iter().map(|rule| rules.item(*rule, 0));
            writer.u64s(&std::iter::once(NONE).chain(items).collect::<Vec<_>>())?;
        }
        section.grid_leaves = writer.offset();
        for GridLeaf { row, items } in leaves {
            writer.u32s([row, items])?;
        }
        let mut parts = vec![Part::Grid {
            cells: self.cells.len(),
            lists: self.leaves.len(),
            bytes: writer.len() - start,
        }];
        let counting: Vec<usize> = (0..rules.len())
            .filter(|rule| rules.counts(*rule))
            .collect();
        if !counting.is_empty() {
            parts.push(row_walk::write(
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
