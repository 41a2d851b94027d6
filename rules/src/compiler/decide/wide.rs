//! The wide table: rules that have many classes on both sides.

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::image::Leaf;

use super::leaves::{Leaves, NoLeaf};
use crate::{
    compiler::{address::Side, classes::ClassId, writer::Writer},
    field::Value,
};

/// The classes of one side that a subset of the rules, those that are wide or in rows,
/// distinguishes.
pub(super) struct Coarse<'a, A> {
    pub(super) side: Side<'a, A>,
    /// For each class of the whole side, the coarse class that contains it.
    pub(super) of: Vec<ClassId>,
}

impl<'a, A: Value + Hash> Coarse<'a, A> {
    pub(super) fn new(fine: &Side<'a, A>, rules: &[usize]) -> Self {
        let side = fine.of(rules);
        let of = fine.classes.project(&side.classes);
        Self { side, of }
    }

    pub(super) fn len(&self) -> usize {
        self.side.classes.len()
    }
}

/// A leaf for each combination of wide classes.
pub(super) fn wide_table<A: Value + Hash>(
    rules: &[usize],
    src: (&Coarse<'_, A>, &Side<'_, A>),
    dst: (&Coarse<'_, A>, &Side<'_, A>),
    leaves: &mut Leaves<'_>,
    writer: &mut Writer,
) -> Result<Vec<Leaf>, NoLeaf> {
    // The wide classes are finer than the classes of these rules alone.
    let rows = |(coarse, fine): (&Coarse<'_, A>, &Side<'_, A>)| {
        let own = fine.of(rules);
        let of = coarse.side.classes.project(&own.classes);
        (own.rows(), of)
    };
    let ((src_rows, src_of), (dst_rows, dst_of)) = (rows(src), rows(dst));
    let src_rows: Vec<&[u64]> = src_rows.iter().collect();
    let dst_rows: Vec<&[u64]> = dst_rows.iter().collect();
    let mut table = Vec::with_capacity(src_of.len() * dst_of.len());
    let mut known = HashMap::new();
    for src in &src_of {
        for dst in &dst_of {
            let cell = match known.get(&(*src, *dst)) {
                Some(cell) => *cell,
                None => {
                    let both = src_rows[src.0 as usize]
                        .iter()
                        .zip(dst_rows[dst.0 as usize]);
                    let bits = crate::compiler::bit_vectors::ones(both.map(|(a, b)| a & b));
                    let cell = leaves.leaf(bits.map(|bit| rules[bit]), writer)?;
                    known.insert((*src, *dst), cell);
                    cell
                }
            };
            table.push(cell);
        }
    }
    Ok(table)
}
