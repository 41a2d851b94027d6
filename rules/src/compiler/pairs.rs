//! A section as leaves for pairs of address classes: rules are placed by how many classes their
//! addresses are.
//!
//! A set of addresses is *narrow* when it is at most [`NARROW`] classes, however many addresses
//! it holds, and *wide* otherwise; no set at all is the widest. In real rule sets nearly all sets
//! are narrow and the wide ones make few classes among themselves, so that four lookups find the
//! rules that are left for a packet:
//!
//! | source | destination | found by |
//! | --- | --- | --- |
//! | narrow | narrow | both classes, in a hash table |
//! | narrow | wide | the source's class, and the destination's class among wide sets |
//! | wide | narrow | likewise |
//! | wide | wide | the classes among wide sets, in a table |
//!
//! What does not fit one of these within its bound, and every rule that counts, goes to the rows
//! (`rows`).

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::image::{BY_WIDE, MODE_PAIRS, PAIRED, Pair, Record, Records, Section};

use super::{
    CompileError,
    address::Address,
    classes::{ClassId, SetId, Spread},
    displacement,
    leaves::{Leaves, NoLeaf},
    plan::{Part, Parts},
    row_walk,
    rules::Rules,
    side::Side,
    stage::Table,
    upper::Upper,
    view::Kind,
    writer::Writer,
};
use crate::ranges::Value;

/// The most classes of a narrow set.
const NARROW: usize = 64;

/// The pairs of classes that a section may have beside [`PAIRS_PER_RULE`] for each rule.
const PAIRS: usize = 1 << 16;

/// The pairs of classes that a section may have for each rule.
const PAIRS_PER_RULE: usize = 8;

/// The most leaves of the table of wide classes: 512 KiB.
const MAX_WIDE: usize = 1 << 16;

/// The most leaves of one side's records: 16 MiB.
const MAX_BY_WIDE: usize = 1 << 21;

/// How often rules may be moved to the rows.
const ATTEMPTS: usize = 16;

/// Where a rule is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Under pairs of classes.
    Pair,
    /// Under the source's class.
    Src,
    /// Under the destination's class.
    Dst,
    /// In the table of wide classes.
    Wide,
    /// In the rows.
    Rows,
}

/// The parts of a section that pairs are made from.
pub(super) struct Input<'a, A> {
    pub(super) kind: Kind,
    pub(super) rules: &'a Rules<'a>,
    pub(super) src: Side<'a, A>,
    pub(super) dst: Side<'a, A>,
    pub(super) upper: &'a Upper,
}

/// Writes the pairs, the rows and the tries of a section.
///
/// # Errors
///
/// [`CompileError`] when the rules do not fit.
pub(super) fn write<A: Address>(
    input: &mut Input<'_, A>,
    section: &mut Section,
    writer: &mut Writer,
) -> Result<Parts, CompileError> {
    section.mode = MODE_PAIRS;
    writer.begin(Table::Pairs);
    let spreads = [narrow(&input.src), narrow(&input.dst)];
    let mut places = places(input, &spreads);
    let start = writer.len();
    for _ in 0..ATTEMPTS {
        match attempt(input, &spreads, &mut places, section, writer) {
            Ok((mut parts, numbers)) => {
                input.src.classes.renumber(&numbers[0]);
                input.dst.classes.renumber(&numbers[1]);
                parts.tries(&mut input.src, &mut input.dst, section, writer)?;
                return Ok(parts);
            }
            Err(NoLeaf::TooLong(rules)) => {
                rules
                    .into_iter()
                    .for_each(|rule| places[rule] = Place::Rows);
                writer.truncate(start);
            }
            Err(NoLeaf::Error(error)) => return Err(error),
        }
    }
    let all = (0..input.rules.len()).filter(|rule| places[*rule] != Place::Rows);
    let all: Vec<usize> = all.collect();
    Err(CompileError::too_much_work(
        input.kind,
        input.rules,
        &all,
        all.len(),
    ))
}

/// The classes of each narrow set, `None` for wide ones.
fn narrow<A: Value + Hash>(side: &Side<'_, A>) -> Vec<Option<Vec<ClassId>>> {
    let mut spread = Spread::new(&side.classes);
    let sets = side.sets.iter();
    sets.map(|set| spread.at_most(set, NARROW)).collect()
}

/// The classes of the rule's set when it is narrow.
fn classes_of<'a, A>(
    side: &Side<'_, A>,
    spread: &'a [Option<Vec<ClassId>>],
    rule: usize,
) -> Option<&'a [ClassId]> {
    spread[side.named[rule]?.0 as usize].as_deref()
}

/// Places each rule by its width; those that would make the most pairs as if they were wide on
/// one side, until the pairs are few enough.
fn places<A: Value + Hash>(
    input: &Input<'_, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
) -> Vec<Place> {
    let Input {
        rules, src, dst, ..
    } = input;
    let mut pairs = Vec::new();
    let mut places: Vec<Place> = (0..rules.len())
        .map(|rule| {
            let widths = (
                classes_of(src, &spreads[0], rule).map(<[_]>::len),
                classes_of(dst, &spreads[1], rule).map(<[_]>::len),
            );
            match widths {
                _ if rules.counts(rule) => Place::Rows,
                (Some(src), Some(dst)) => {
                    pairs.push((src * dst, src <= dst, rule));
                    Place::Pair
                }
                (Some(_), None) => Place::Src,
                (None, Some(_)) => Place::Dst,
                (None, None) => Place::Wide,
            }
        })
        .collect();
    let mut total: usize = pairs.iter().map(|(count, ..)| count).sum();
    pairs.sort_unstable();
    while total > PAIRS + PAIRS_PER_RULE * rules.len()
        && let Some((count, src_narrower, rule)) = pairs.pop()
    {
        total -= count;
        places[rule] = if src_narrower { Place::Src } else { Place::Dst };
    }
    places
}

/// The classes that some of the rules make of one side, wide or in rows.
struct Coarse<'a, A> {
    side: Side<'a, A>,
    /// For each class of the whole side the coarse one that it is part of.
    of: Vec<ClassId>,
}

impl<'a, A: Value + Hash> Coarse<'a, A> {
    fn new(fine: &Side<'a, A>, rules: &[usize]) -> Self {
        let side = fine.of(rules);
        let of = fine.classes.project(&side.classes);
        Self { side, of }
    }

    fn len(&self) -> usize {
        self.side.classes.len()
    }
}

/// Writes everything but the tries, and returns the new numbers of both sides' classes.
fn attempt<A: Value + Hash>(
    input: &Input<'_, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
    places: &mut [Place],
    section: &mut Section,
    writer: &mut Writer,
) -> Result<(Parts, [Vec<ClassId>; 2]), NoLeaf> {
    let Input {
        kind,
        rules,
        src,
        dst,
        upper,
    } = input;
    writer.begin(Table::Wide);
    let (wide_src, wide_dst) = wide(input, spreads, places);
    let at = |place: Place| {
        let placed = places.iter().enumerate();
        placed
            .filter(move |(_, at)| **at == place)
            .map(|(rule, _)| rule)
    };
    let mut parts = Parts::default();
    let mut leaves = Leaves::new(rules, upper);

    let start = writer.len();
    let table = wide_table(
        &at(Place::Wide).collect::<Vec<_>>(),
        (&wide_src, src),
        (&wide_dst, dst),
        &mut leaves,
        writer,
    )?;
    writer.align(8)?;
    section.wide = writer.offset();
    section.wide_columns = wide_dst.len() as u32;
    writer.u64s(&table)?;
    parts.push(Part::Wide {
        rows: wide_src.len(),
        columns: wide_dst.len(),
        rules: at(Place::Wide).count(),
        bytes: writer.len() - start - leaves.bytes(),
    });

    writer.begin(Table::Pairs);
    let (pairs, paired) = pairs(at(Place::Pair), input, spreads, &mut leaves, writer)?;

    writer.begin(Table::Records);
    let rows: Vec<usize> = at(Place::Rows).collect();
    let row_src = Coarse::new(src, &rows);
    let row_dst = Coarse::new(dst, &rows);
    let (start, lists) = (writer.len(), leaves.bytes());
    let mut by_side = |of: &Side<'_, A>,
                       spread: &[Option<Vec<ClassId>>],
                       place,
                       other: (&Side<'_, A>, &Coarse<'_, A>),
                       own: (&Coarse<'_, A>, &Coarse<'_, A>, &[bool])| {
        let mut by_class = vec![Vec::new(); of.classes.len()];
        for rule in at(place) {
            for class in classes_of(of, spread, rule).unwrap_or_default() {
                by_class[class.0 as usize].push(rule);
            }
        }
        let arrays = arrays(&by_class, other, &mut leaves, writer)?;
        Ok::<_, NoLeaf>(records(&arrays, own))
    };
    let (mut src_numbers, src_records) = by_side(
        src,
        &spreads[0],
        Place::Src,
        (dst, &wide_dst),
        (&wide_src, &row_src, &paired[0]),
    )?;
    let (mut dst_numbers, dst_records) = by_side(
        dst,
        &spreads[1],
        Place::Dst,
        (src, &wide_src),
        (&wide_dst, &row_dst, &paired[1]),
    )?;
    section.src_records = write_records(&src_records, writer)?;
    section.dst_records = write_records(&dst_records, writer)?;
    parts.push(Part::Records {
        src: src_records.len(),
        dst: dst_records.len(),
        rules: at(Place::Src).count() + at(Place::Dst).count(),
        bytes: writer.len() - start - (leaves.bytes() - lists),
    });

    writer.begin(Table::Pairs);
    let renumbered: Vec<Pair> = pairs
        .into_iter()
        .map(|Pair { src, dst, leaf }| Pair {
            src: src_numbers[src as usize].0,
            dst: dst_numbers[dst as usize].0,
            leaf,
        })
        .collect();
    let bytes = displacement::write(&renumbered, section, writer)?;
    parts.push(Part::Pairs {
        pairs: renumbered.len(),
        rules: at(Place::Pair).count(),
        bytes,
    });

    writer.begin(Table::Lists);
    let start = writer.len();
    (section.signatures, section.signature_stride) = leaves.write_signatures(writer)?;
    parts.push(Part::Leaves {
        tables: leaves.tables(),
        bytes: writer.len() - start + leaves.bytes(),
        loads: leaves.loads(),
    });

    if !rows.is_empty() {
        let part = row_walk::write(
            *kind,
            rules,
            &rows,
            [
                &row_src.side.rows(),
                &row_dst.side.rows(),
                &upper.rows(&rows),
            ],
            section,
            writer,
        )?;
        parts.push(part);
    }
    Ok((
        parts,
        [
            std::mem::take(&mut src_numbers),
            std::mem::take(&mut dst_numbers),
        ],
    ))
}

/// The wide classes of both sides. Rules that would make too many of them are moved to the rows.
fn wide<'a, A: Value + Hash>(
    input: &Input<'a, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
    places: &mut [Place],
) -> (Coarse<'a, A>, Coarse<'a, A>) {
    let make = |places: &[Place]| {
        let of = |side, other| {
            let placed = places.iter().enumerate();
            let rules: Vec<usize> = placed
                .filter(|(_, place)| [Place::Wide, other].contains(place))
                .map(|(rule, _)| rule)
                .collect();
            Coarse::new(side, &rules)
        };
        (of(&input.src, Place::Dst), of(&input.dst, Place::Src))
    };
    let (mut src, mut dst) = make(places);
    if src.len().saturating_mul(dst.len()) > MAX_WIDE {
        for place in places.iter_mut().filter(|place| **place == Place::Wide) {
            *place = Place::Rows;
        }
        (src, dst) = make(places);
    }
    // Each class of a rule that is wide on the other side, but not open, has a leaf for each wide
    // class there.
    let leaves = |place, side: &Side<'_, A>, spread: &[_], other: &Side<'_, A>, columns| {
        let placed = places.iter().enumerate();
        let rules = placed.filter(|(rule, at)| **at == place && other.named[*rule].is_some());
        let classes = rules.map(|(rule, _)| classes_of(side, spread, rule).map_or(0, <[_]>::len));
        classes.sum::<usize>().min(side.classes.len()) * columns
    };
    let by_src = leaves(Place::Src, &input.src, &spreads[0], &input.dst, dst.len());
    let by_dst = leaves(Place::Dst, &input.dst, &spreads[1], &input.src, src.len());
    let too_many = [
        (Place::Src, &input.dst, by_src),
        (Place::Dst, &input.src, by_dst),
    ];
    let crowded = src.len().saturating_mul(dst.len()) > MAX_WIDE;
    let mut moved = false;
    for (place, other, leaves) in too_many {
        if !crowded && leaves <= MAX_BY_WIDE {
            continue;
        }
        moved = true;
        for (rule, at) in places.iter_mut().enumerate() {
            if *at == place && other.named[rule].is_some() {
                *at = Place::Rows;
            }
        }
    }
    if moved { make(places) } else { (src, dst) }
}

/// A leaf for each combination of wide classes.
fn wide_table<A: Value + Hash>(
    rules: &[usize],
    src: (&Coarse<'_, A>, &Side<'_, A>),
    dst: (&Coarse<'_, A>, &Side<'_, A>),
    leaves: &mut Leaves<'_>,
    writer: &mut Writer,
) -> Result<Vec<u64>, NoLeaf> {
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
                    let bits = super::rows::ones(both.map(|(a, b)| a & b));
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

/// The pairs of classes that rules have, in the numbers that the classes have so far, and for
/// each class of both sides whether it has a pair.
fn pairs<A: Value + Hash>(
    rules: impl Iterator<Item = usize>,
    input: &Input<'_, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
    leaves: &mut Leaves<'_>,
    writer: &mut Writer,
) -> Result<(Vec<Pair>, [Vec<bool>; 2]), NoLeaf> {
    let mut paired = [
        vec![false; input.src.classes.len()],
        vec![false; input.dst.classes.len()],
    ];
    let mut all = Vec::new();
    for rule in rules {
        let src_classes = classes_of(&input.src, &spreads[0], rule).unwrap_or_default();
        let dst_classes = classes_of(&input.dst, &spreads[1], rule).unwrap_or_default();
        for src in src_classes {
            paired[0][src.0 as usize] = true;
            for dst in dst_classes {
                paired[1][dst.0 as usize] = true;
                all.push((src.0, dst.0, rule));
            }
        }
    }
    all.sort_unstable();
    let groups = all.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
    let mut pairs = Vec::with_capacity(all.len());
    for group in groups {
        let leaf = leaves.leaf(group.iter().map(|(.., rule)| *rule), writer)?;
        let (src, dst, _) = group[0];
        pairs.push(Pair { src, dst, leaf });
    }
    Ok((pairs, paired))
}

/// The leaves of each class: their offset, and whether there is one for each wide class of the
/// other side.
fn arrays<A: Value + Hash>(
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
                writer.u64s(&array)?;
                made.insert(array, offset);
                offset
            }
        };
        offsets.push((offset, by_wide));
    }
    Ok(offsets)
}

/// The new number of each class, and the records in the order of the new numbers. The classes
/// whose record is the most frequent one come last and share it: a set of rules on many single
/// addresses has few other records, and they stay in the cache.
fn records<A: Value + Hash>(
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
            flags: if *by_wide { BY_WIDE } else { 0 } | if paired[class] { PAIRED } else { 0 },
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

fn write_records(records: &[Record], writer: &mut Writer) -> Result<Records, CompileError> {
    writer.align(16)?;
    let offset = writer.offset();
    for record in records {
        writer.u32s([record.wide, record.row, record.leaves, record.flags])?;
    }
    Ok(Records {
        offset,
        last: records.len() as u32 - 1,
    })
}
