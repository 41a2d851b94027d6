//! The rows of a section: rules whose matches are found by ANDing one bit vector for each class.

use firewall_ebpf::image::{Item, MAX_WALK, Section};

use crate::compiler::{
    bit_vectors::{Rows, ones, summary},
    culprits,
    error::CompileError,
    kind::SectionKind,
    plan::Part,
    rules::Rules,
    stage::StageTable,
    writer::Writer,
};

/// Writes the rows of `members`, which are rules of the section; `rows` are those of source,
/// destination and L4 classes over the members.
///
/// # Errors
///
/// [`CompileError`] if a packet could need too many steps or the image is too large.
pub(super) fn write(
    kind: SectionKind,
    rules: &Rules<'_>,
    members: &[usize],
    rows: [&Rows; 3],
    section: &mut Section,
    writer: &mut Writer,
) -> Result<Part, CompileError> {
    writer.begin(StageTable::Rows);
    let words = rows[0].words();
    let summaries = words.div_ceil(64);
    let mut counting = Rows::new(members.len());
    counting.push((0..members.len()).filter(|bit| rules.counts(members[*bit])));
    let counting: Vec<u64> = counting.iter().flatten().copied().collect();
    // A packet needs at most as many steps as each of its three rows.
    let worst = |rows: &Rows| rows.iter().map(|row| steps(row, &counting)).max();
    let needed = summaries + 1 + rows.into_iter().filter_map(worst).min().unwrap_or(0);
    if needed > MAX_WALK as usize {
        return Err(culprits::too_much_work(kind, rules, members, needed));
    }
    let start = writer.len();
    writer.align(8)?;
    let mut offsets = [0; 3];
    for (offset, rows) in offsets.iter_mut().zip(rows) {
        *offset = writer.offset();
        writer.check(rows.len() * (words + summaries) * 8)?;
        for row in rows.iter() {
            writer.u64s(summary(row))?;
            writer.u64s(row.iter().copied())?;
        }
    }
    [section.src_rows, section.dst_rows, section.l4_rows] = offsets;
    section.stride = ((words + summaries) * 8) as u32;
    section.summaries = summaries as u32;
    section.items = writer.offset();
    let items = members.iter().map(|rule| rules.item(*rule, 0));
    writer.u64s(items.map(Item::bits))?;
    Ok(Part::Rows {
        rules: members.len(),
        steps: needed as u32,
        bytes: writer.len() - start,
    })
}

/// The maximum number of steps among the words of a row: one for each word that is not 0, or one
/// for each rule in it that counts.
fn steps(row: &[u64], counting: &[u64]) -> usize {
    ones(summary(row))
        .map(|word| (row[word] & counting[word]).count_ones().max(1) as usize)
        .sum()
}
