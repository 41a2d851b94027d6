//! One section of the image: from the classes of a packet to the first rule that matches.

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::image::{
    COUNT, DROP, MAX_COUNTS, MAX_WALK, MODE_CELLS, MODE_ROWS, NO_MATCH, PASS, Section,
};

use super::{
    CompileError,
    classes::{Classes, SetId, Sets},
    rows::{Rows, ones, summary},
    trie,
    upper::{self, Upper},
    view::View,
    writer::Writer,
};
use crate::{
    ranges::{RangeSet, Value},
    ruleset::{RuleId, Ruleset, Verdict},
};

/// The most cells of a direct table: 256 KiB, which the second-level cache holds.
const MAX_CELLS: usize = 1 << 16;

/// What the rules do on a match.
pub(super) struct Counters<'a> {
    ruleset: &'a Ruleset,
    slots: &'a [u32],
}

impl<'a> Counters<'a> {
    /// `slots` has one slot for each rule.
    pub(super) fn new(ruleset: &'a Ruleset, slots: &'a [u32]) -> Self {
        Self { ruleset, slots }
    }

    fn entry(&self, rule: RuleId) -> u32 {
        let index = rule.0 as usize;
        let what = match self.ruleset.rules[index].verdict {
            Verdict::Pass => PASS,
            Verdict::Drop => DROP,
            Verdict::Count => COUNT,
        };
        self.slots[index] << 2 | what
    }

    fn counts(&self, rule: RuleId) -> bool {
        self.ruleset.rules[rule.0 as usize].verdict == Verdict::Count
    }
}

/// Writes a section and returns the offset of its head.
///
/// # Errors
///
/// [`CompileError`] when the tables exceed a limit.
pub(super) fn compile_section<A: trie::Key + Value + Hash>(
    view: &View<'_, A>,
    counters: &Counters<'_>,
    writer: &mut Writer,
) -> Result<u32, CompileError> {
    writer.align(8)?;
    let offset = writer.reserve(size_of::<Section>())?;
    let (src, src_trie) = addresses(view.rules.iter().map(|rule| rule.src), writer)?;
    let (dst, dst_trie) = addresses(view.rules.iter().map(|rule| rule.dst), writer)?;
    let upper = upper::write(view, writer)?;
    let mut section = Section {
        src: src_trie,
        dst: dst_trie,
        steps_used: upper.used,
        steps: upper.steps,
        ..Section::default()
    };
    let cells = src
        .len()
        .saturating_mul(dst.len())
        .saturating_mul(upper.rows.len());
    let lists = if cells <= MAX_CELLS {
        lists(view, counters, &src, &dst, &upper)
    } else {
        None
    };
    match lists {
        Some(lists) => write_cells(&lists, &mut section, &dst, &upper, writer)?,
        None => write_rows(
            view,
            counters,
            &mut section,
            [&src, &dst, &upper.rows],
            writer,
        )?,
    }
    writer.write_section(offset, &section);
    Ok(offset)
}

/// The trie of one address and for each of its classes a row over the rules.
fn addresses<'a, A: trie::Key + Value + Hash + 'a>(
    rules: impl ExactSizeIterator<Item = Option<&'a RangeSet<A>>>,
    writer: &mut Writer,
) -> Result<(Rows, u32), CompileError> {
    let count = rules.len();
    let mut sets = Sets::default();
    let named: Vec<Option<SetId>> = rules.map(|set| set.map(|set| sets.intern(set))).collect();
    let classes: Classes<A> = sets.classes();
    let trie = trie::write(&classes, writer)?;
    let words = classes.len() * count.div_ceil(64);
    // Rows that could not be written need not be made.
    writer.check(words * 8)?;
    let mut open = Vec::new();
    let mut naming = vec![Vec::new(); sets.len()];
    for (rule, set) in named.into_iter().enumerate() {
        match set {
            Some(set) => naming[set.0 as usize].push(rule),
            None => open.push(rule),
        }
    }
    let mut rows = Rows::new(count);
    for holders in &classes.holders {
        let named = holders.iter().flat_map(|set| &naming[set.0 as usize]);
        rows.push(open.iter().chain(named).copied());
    }
    Ok((rows, trie))
}

/// The distinct lists of entries, and for each cell the number of its list.
struct Lists {
    lists: Vec<Vec<u32>>,
    cells: Vec<usize>,
}

/// The list of entries for every combination of classes; `None` when one would count more rules
/// than a walk over a list does.
fn lists<A>(
    view: &View<'_, A>,
    counters: &Counters<'_>,
    src: &Rows,
    dst: &Rows,
    upper: &Upper,
) -> Option<Lists> {
    let mut lists = Vec::new();
    let mut numbers = HashMap::new();
    let mut cells = Vec::with_capacity(src.len() * dst.len() * upper.rows.len());
    let mut both = vec![0; src.words()];
    for src in src.iter() {
        for dst in dst.iter() {
            for (word, (src, dst)) in both.iter_mut().zip(src.iter().zip(dst)) {
                *word = src & dst;
            }
            for upper in upper.rows.iter() {
                let mut list = Vec::new();
                let matching = ones(both.iter().zip(upper).map(|(a, b)| a & b));
                let mut end = NO_MATCH;
                for rule in matching {
                    let id = view.rules[rule].id;
                    let entry = counters.entry(id);
                    if !counters.counts(id) {
                        end = entry;
                        break;
                    }
                    if list.len() == MAX_COUNTS as usize {
                        return None;
                    }
                    list.push(entry);
                }
                list.push(end);
                cells.push(match numbers.get(&list) {
                    Some(number) => *number,
                    None => {
                        let number = lists.len();
                        lists.push(list.clone());
                        numbers.insert(list, number);
                        number
                    }
                });
            }
        }
    }
    Some(Lists { lists, cells })
}

fn write_cells(
    lists: &Lists,
    section: &mut Section,
    dst: &Rows,
    upper: &Upper,
    writer: &mut Writer,
) -> Result<(), CompileError> {
    writer.align(4)?;
    let mut offsets = Vec::with_capacity(lists.lists.len());
    for list in &lists.lists {
        offsets.push(writer.offset());
        writer.u32s(list.iter().copied())?;
    }
    section.mode = MODE_CELLS;
    section.dst_classes = dst.len() as u32;
    section.upper_classes = upper.rows.len() as u32;
    section.cells = writer.offset();
    writer.u32s(lists.cells.iter().map(|list| offsets[*list]))
}

fn write_rows<A>(
    view: &View<'_, A>,
    counters: &Counters<'_>,
    section: &mut Section,
    rows: [&Rows; 3],
    writer: &mut Writer,
) -> Result<(), CompileError> {
    let words = rows[0].words();
    let summaries = words.div_ceil(64);
    let counting = view
        .rules
        .iter()
        .filter(|rule| counters.counts(rule.id))
        .count();
    // A step of the walk visits a summary, a word or a `count` match, or ends it.
    let needed = summaries + words + counting + 1;
    if needed > MAX_WALK as usize {
        return Err(CompileError::TooManyRules {
            packets: view.kind,
            rules: view.rules.len(),
            counting,
            needed,
            allowed: MAX_WALK as usize,
        });
    }
    writer.align(8)?;
    let mut offsets = [0; 3];
    for (offset, rows) in offsets.iter_mut().zip(rows) {
        *offset = writer.offset();
        writer.check(rows.len() * (words + summaries) * 8)?;
        for row in rows.iter() {
            writer.u64s(&summary(row))?;
            writer.u64s(row)?;
        }
    }
    section.mode = MODE_ROWS;
    [section.src_rows, section.dst_rows, section.upper_rows] = offsets;
    section.stride = ((words + summaries) * 8) as u32;
    section.summaries = summaries as u32;
    section.entries = writer.offset();
    writer.u32s(view.rules.iter().map(|rule| counters.entry(rule.id)))
}
