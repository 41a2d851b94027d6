//! Records: for each class of one side, the leaves of rules that are narrow there.

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::image::{Leaf, Record, RecordFlags, Records};

use super::{
    leaves::{Leaves, NoLeaf},
    wide::Coarse,
};
use crate::{
    compiler::{
        address::Side,
        classes::{ClassId, SetId},
        error::CompileError,
        writer::Writer,
    },
    field::Value,
};

/// The leaves of each class: their offset, and whether there is one leaf for each wide class of the
/// other side.
pub(super) fn arrays<A: Value + Hash>(
    by_class: &[Vec<usize>],
    (other, wide): (&Side<'_, A>, &Coarse<'_, A>),
    leaves: &mut Leaves<'_>,
    writer: &mut Writer,
) -> Result<Vec<(u32, bool)>, NoLeaf> {
    // The wide sets that hold each wide class.
    let holders = wide.side.sets.holders(&wide.side.classes);
    let mut set_of = HashMap::new();
    for set in (0..other.sets.len() as u32).map(SetId) {
        if let Some(number) = wide.side.sets.number(other.sets.get(set)) {
            set_of.insert(set, number);
        }
    }
    let mut made = HashMap::new();
    let mut offsets = Vec::with_capacity(by_class.len());
    for rules in by_class {
        let by_wide = rules.iter().any(|rule| other.named[*rule].is_some());
        let mut array = Vec::new();
        if by_wide {
            for holders in &holders {
                let fits = |rule: &&usize| match other.named[**rule] {
                    None => true,
                    Some(set) => set_of
                        .get(&set)
                        .is_some_and(|set| holders.binary_search(set).is_ok()),
                };
                array.push(leaves.leaf(rules.iter().filter(fits).copied(), writer)?);
            }
        } else {
            array.push(leaves.leaf(rules.iter().copied(), writer)?);
        }
        let offset = match made.get(&array) {
            Some(offset) => *offset,
            None => {
                writer.align(8)?;
                let offset = writer.offset();
                writer.u64s(array.iter().copied().map(Leaf::bits))?;
                made.insert(array, offset);
                offset
            }
        };
        offsets.push((offset, by_wide));
    }
    Ok(offsets)
}

/// The new number of each class, and the records in the order of the new numbers. Classes with the
/// most frequent record come last and share it: a rule set with many single addresses has few other
/// records, which stay in the cache.
pub(super) fn records<A: Value + Hash>(
    arrays: &[(u32, bool)],
    (wide, row, paired): (&Coarse<'_, A>, &Coarse<'_, A>, &[bool]),
) -> (Vec<ClassId>, Vec<Record>) {
    let records: Vec<Record> = arrays
        .iter()
        .enumerate()
        .map(|(class, (leaves, by_wide))| Record {
            wide: wide.of[class].0,
            row: row.of[class].0,
            leaves: *leaves,
            flags: RecordFlags::new(*by_wide, paired[class]),
        })
        .collect();
    let mut counts = HashMap::<&Record, usize>::new();
    for record in &records {
        *counts.entry(record).or_default() += 1;
    }
    let frequent = counts
        .iter()
        .max_by_key(|(record, count)| (**count, **record));
    let last = frequent.map(|(record, _)| **record).unwrap_or_default();
    let mut numbers = vec![ClassId(0); records.len()];
    let (rare, common): (Vec<usize>, Vec<usize>) =
        (0..records.len()).partition(|class| records[*class] != last);
    for (number, class) in (0..).map(ClassId).zip(rare.iter().chain(&common)) {
        numbers[*class] = number;
    }
    let mut ordered: Vec<Record> = rare.iter().map(|class| records[*class]).collect();
    ordered.push(last);
    (numbers, ordered)
}

pub(super) fn write_records(
    records: &[Record],
    writer: &mut Writer,
) -> Result<Records, CompileError> {
    writer.align(16)?;
    let offset = writer.offset();
    for record in records {
        writer.u32s(record.words())?;
    }
    Ok(Records {
        offset,
        last: records.len() as u32 - 1,
    })
}
