//! The pairs of a section: leaves for pairs of address classes. The number of classes of its
//! addresses determines the place of a rule.
//!
//! A set of addresses is *narrow* if it consists of at most [`NARROW`] classes, however many
//! addresses it contains, and *wide* otherwise; a rule without a set is the widest. In real rule
//! sets, nearly all sets are narrow and the wide ones form few classes among themselves, so four
//! lookups find the remaining rules for a packet:
//!
//! | source | destination | found by |
//! | --- | --- | --- |
//! | narrow | narrow | both classes, in a hash table |
//! | narrow | wide | the source's class, and the destination's class among wide sets |
//! | wide | narrow | likewise |
//! | wide | wide | the classes among wide sets, in a table |
//!
//! Rules that exceed the bound of these places, and all `count` rules, go to the rows (`rows`).

use std::hash::Hash;

use firewall_ebpf::image::{MODE_PAIRS, Pair, Section};

use super::{
    leaves::{Leaves, NoLeaf},
    parts::Parts,
    records::{arrays, records, write_records},
    rows,
    wide::{Coarse, wide_table},
};
use crate::{
    compiler::{
        address::{Address, Side},
        classes::{ClassId, Spread},
        culprits, displacement,
        error::CompileError,
        kind::SectionKind,
        l4::L4Key,
        plan::Part,
        rules::Rules,
        stage::StageTable,
        writer::Writer,
    },
    field::Value,
};

/// The maximum number of classes of a narrow set.
const NARROW: usize = 64;

/// The number of pairs of classes that a section may have in addition to [`PAIRS_PER_RULE`] for
/// each rule.
const PAIRS: usize = 1 << 16;

/// The number of pairs of classes that a section may have for each rule.
const PAIRS_PER_RULE: usize = 8;

/// The maximum number of leaves of the table of wide classes: 512 KiB.
const MAX_WIDE: usize = 1 << 16;

/// The maximum number of leaves of one side's records: 16 MiB.
const MAX_BY_WIDE: usize = 1 << 21;

/// The maximum number of times that rules are moved to the rows.
const ATTEMPTS: usize = 16;

/// The place where a rule is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PairPlace {
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
pub(crate) struct Input<'a, A> {
    pub(crate) kind: SectionKind,
    pub(crate) rules: &'a Rules<'a>,
    pub(crate) src: Side<'a, A>,
    pub(crate) dst: Side<'a, A>,
    pub(crate) upper: &'a L4Key,
}

/// Writes the pairs, the rows and the tries of a section.
///
/// # Errors
///
/// [`CompileError`] if the rules do not fit.
pub(crate) fn write<A: Address>(
    input: &mut Input<'_, A>,
    section: &mut Section,
    writer: &mut Writer,
) -> Result<Parts, CompileError> {
    section.mode = MODE_PAIRS;
    writer.begin(StageTable::Pairs);
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
                    .for_each(|rule| places[rule] = PairPlace::Rows);
                writer.truncate(start);
            }
            Err(NoLeaf::Error(error)) => return Err(error),
        }
    }
    let all = (0..input.rules.len()).filter(|rule| places[*rule] != PairPlace::Rows);
    let all: Vec<usize> = all.collect();
    Err(culprits::too_much_work(
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

/// The classes of the rule's set if it is narrow.
fn classes_of<'a, A>(
    side: &Side<'_, A>,
    spread: &'a [Option<Vec<ClassId>>],
    rule: usize,
) -> Option<&'a [ClassId]> {
    spread[side.named[rule]?.0 as usize].as_deref()
}

/// Places each rule by its width; rules with the most pairs are then treated as wide on one side
/// until the number of pairs is within its bound.
fn places<A: Value + Hash>(
    input: &Input<'_, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
) -> Vec<PairPlace> {
    let Input {
        rules, src, dst, ..
    } = input;
    let mut pairs = Vec::new();
    let mut places: Vec<PairPlace> = (0..rules.len())
        .map(|rule| {
            let widths = (
                classes_of(src, &spreads[0], rule).map(<[_]>::len),
                classes_of(dst, &spreads[1], rule).map(<[_]>::len),
            );
            match widths {
                _ if rules.counts(rule) => PairPlace::Rows,
                (Some(src), Some(dst)) => {
                    pairs.push((src * dst, src <= dst, rule));
                    PairPlace::Pair
                }
                (Some(_), None) => PairPlace::Src,
                (None, Some(_)) => PairPlace::Dst,
                (None, None) => PairPlace::Wide,
            }
        })
        .collect();
    let mut total: usize = pairs.iter().map(|(count, ..)| count).sum();
    pairs.sort_unstable();
    while total > PAIRS + PAIRS_PER_RULE * rules.len()
        && let Some((count, src_narrower, rule)) = pairs.pop()
    {
        total -= count;
        places[rule] = if src_narrower {
            PairPlace::Src
        } else {
            PairPlace::Dst
        };
    }
    places
}

/// Writes everything but the tries, and returns the new numbers of both sides' classes.
fn attempt<A: Value + Hash>(
    input: &Input<'_, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
    places: &mut [PairPlace],
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
    writer.begin(StageTable::Wide);
    let (wide_src, wide_dst) = wide(input, spreads, places);
    let at = |place: PairPlace| {
        let placed = places.iter().enumerate();
        placed
            .filter(move |(_, at)| **at == place)
            .map(|(rule, _)| rule)
    };
    let mut parts = Parts::default();
    let mut leaves = Leaves::new(rules, upper);

    let start = writer.len();
    let table = wide_table(
        &at(PairPlace::Wide).collect::<Vec<_>>(),
        (&wide_src, src),
        (&wide_dst, dst),
        &mut leaves,
        writer,
    )?;
    writer.align(8)?;
    section.wide = writer.offset();
    section.wide_columns = wide_dst.len() as u32;
    writer.u64s(table.iter().map(|leaf| leaf.bits()))?;
    parts.push(Part::Wide {
        rows: wide_src.len(),
        columns: wide_dst.len(),
        rules: at(PairPlace::Wide).count(),
        bytes: writer.len() - start - leaves.bytes(),
    });

    writer.begin(StageTable::Pairs);
    let (pairs, paired) = pairs(at(PairPlace::Pair), input, spreads, &mut leaves, writer)?;

    writer.begin(StageTable::Records);
    let rows: Vec<usize> = at(PairPlace::Rows).collect();
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
        PairPlace::Src,
        (dst, &wide_dst),
        (&wide_src, &row_src, &paired[0]),
    )?;
    let (mut dst_numbers, dst_records) = by_side(
        dst,
        &spreads[1],
        PairPlace::Dst,
        (src, &wide_src),
        (&wide_dst, &row_dst, &paired[1]),
    )?;
    section.src_records = write_records(&src_records, writer)?;
    section.dst_records = write_records(&dst_records, writer)?;
    parts.push(Part::Records {
        src: src_records.len(),
        dst: dst_records.len(),
        rules: at(PairPlace::Src).count() + at(PairPlace::Dst).count(),
        bytes: writer.len() - start - (leaves.bytes() - lists),
    });

    writer.begin(StageTable::Pairs);
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
        rules: at(PairPlace::Pair).count(),
        bytes,
    });

    writer.begin(StageTable::Lists);
    let start = writer.len();
    (section.signatures, section.signature_stride) = leaves.write_signatures(writer)?;
    parts.push(Part::Leaves {
        tables: leaves.tables(),
        bytes: writer.len() - start + leaves.bytes(),
        loads: leaves.loads(),
    });

    if !rows.is_empty() {
        let part = rows::write(
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

/// The wide classes of both sides. Rules that would cause too many of them are moved to the rows.
fn wide<'a, A: Value + Hash>(
    input: &Input<'a, A>,
    spreads: &[Vec<Option<Vec<ClassId>>>; 2],
    places: &mut [PairPlace],
) -> (Coarse<'a, A>, Coarse<'a, A>) {
    let make = |places: &[PairPlace]| {
        let of = |side, other| {
            let placed = places.iter().enumerate();
            let rules: Vec<usize> = placed
                .filter(|(_, place)| [PairPlace::Wide, other].contains(place))
                .map(|(rule, _)| rule)
                .collect();
            Coarse::new(side, &rules)
        };
        (
            of(&input.src, PairPlace::Dst),
            of(&input.dst, PairPlace::Src),
        )
    };
    let (mut src, mut dst) = make(places);
    if src.len().saturating_mul(dst.len()) > MAX_WIDE {
        for place in places.iter_mut().filter(|place| **place == PairPlace::Wide) {
            *place = PairPlace::Rows;
        }
        (src, dst) = make(places);
    }
    // Each class of a rule whose set on the other side is wide but not open has a leaf for each
    // wide class there.
    let leaves = |place, side: &Side<'_, A>, spread: &[_], other: &Side<'_, A>, columns| {
        let placed = places.iter().enumerate();
        let rules = placed.filter(|(rule, at)| **at == place && other.named[*rule].is_some());
        let classes = rules.map(|(rule, _)| classes_of(side, spread, rule).map_or(0, <[_]>::len));
        classes.sum::<usize>().min(side.classes.len()) * columns
    };
    let by_src = leaves(
        PairPlace::Src,
        &input.src,
        &spreads[0],
        &input.dst,
        dst.len(),
    );
    let by_dst = leaves(
        PairPlace::Dst,
        &input.dst,
        &spreads[1],
        &input.src,
        src.len(),
    );
    let too_many = [
        (PairPlace::Src, &input.dst, by_src),
        (PairPlace::Dst, &input.src, by_dst),
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
                *at = PairPlace::Rows;
            }
        }
    }
    if moved { make(places) } else { (src, dst) }
}

/// The pairs of classes of the rules, by the current numbers of the classes, and for each class of
/// both sides whether it has a pair.
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
