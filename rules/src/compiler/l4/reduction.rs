//! Fuses the classes of the narrow fields into one class, one field at a time.
//!
//! Rules that name the same sets in the fields so far share a *signature*. A fused class is a set
//! of signatures; with the next field each pair of a fused class and a class of the field leads to
//! a set of longer signatures, and pairs with equal sets become one fused class. This is recursive
//! flow classification (Gupta, McKeown: Packet Classification on Multiple Fields, 1999) over
//! signatures in place of rules, of which there are far fewer. Equal sets are found by the XOR of
//! the members' numbers, as in `classes`.

use std::{collections::HashMap, hash::Hash};

use firewall_ebpf::{
    field::{FIELDS, Field, FieldSet, Values},
    image::{MAX_SIGNATURES, Step},
};

use super::{
    class::{L4Key, SignatureId},
    lookup::{self, Lookup},
};
use crate::{
    compiler::{
        classes::{ClassSets, Classes, SetId, number},
        cost, culprits,
        error::CompileError,
        rules::Rules,
        stage::StageTable,
        view::{View, name},
        writer::Writer,
    },
    field::{RangeSet, Value},
};

/// The maximum number of cells of one reduction table; 2 bytes each.
const MAX_CELLS: usize = 1 << 22;

/// The maximum number of fused classes: a reduction table holds 16-bit numbers.
const MAX_CLASSES: usize = 1 << 16;

/// The maximum number of times that a signature is marked in a cell of one reduction table: a few
/// seconds of work.
const MAX_MARKS: usize = 1 << 31;

/// Fuses the fields that the rules name and writes their tries and tables.
///
/// # Errors
///
/// [`CompileError::TooManyCombinations`] or [`CompileError::TooLarge`].
pub(crate) fn write<A>(
    view: &View<'_, A>,
    rules: &Rules<'_>,
    writer: &mut Writer,
) -> Result<L4Key, CompileError> {
    writer.begin(StageTable::NarrowFields);
    let start = writer.len();
    let mut steps = [Step::default(); FIELDS];
    let mut used = FieldSet::default();
    // Four fields of the section: where both addresses are searched, how the rule is found, and
    // which narrow fields are used.
    let mut loads = 4;
    let (mut longest_search, mut tables) = (0, 0);
    // Before any field all rules have one signature, and one class has it.
    let mut signatures = vec![SignatureId(0); view.rules.len()];
    let mut signature_count = 1;
    let mut open = Some(SignatureId(0));
    let mut fused = vec![vec![SignatureId(0)]];
    let mut names = Vec::new();
    for field in Field::ALL {
        if view
            .rules
            .iter()
            .all(|rule| rule.fields[field as usize].is_none())
        {
            continue;
        }
        used = used.with(field);
        names.push(name(field));
        let lookup_start = writer.len();
        let values = match field.values() {
            Values::Indexes => {
                let indexes = narrow::<u32, A>(view, field);
                let named = indexes.iter().map(Option::as_ref);
                FieldClasses::new(named, |classes| lookup::searched(classes, writer))?
            }
            Values::Macs => {
                let rules = view.rules.iter();
                let named = rules.map(|rule| rule.fields[field as usize].as_ref());
                FieldClasses::new(named, |classes| lookup::searched(classes, writer))?
            }
            Values::Below(count) => {
                let narrow = narrow(view, field);
                let named = narrow.iter().map(Option::as_ref);
                FieldClasses::new(named, |classes| lookup::direct(classes, count, writer))?
            }
            Values::OptionGroups => {
                let narrow = narrow(view, field);
                let named = narrow.iter().map(Option::as_ref);
                FieldClasses::new(named, |classes| {
                    lookup::options(classes, &view.options, writer)
                })?
            }
            Values::Protocols => {
                let narrow = narrow(view, field);
                let named = narrow.iter().map(Option::as_ref);
                FieldClasses::new(named, |classes| lookup::protocol(classes, writer))?
            }
            Values::Halves => {
                let narrow = narrow(view, field);
                let named = narrow.iter().map(Option::as_ref);
                FieldClasses::new(named, |classes| {
                    if classes.len() > MAX_CLASSES {
                        return Err(CompileError::TooManyCombinations {
                            packets: view.kind,
                            fields: names.join(", "),
                            needed: classes.len(),
                            allowed: MAX_CLASSES,
                            names: culprits::largest(rules, |_| 1, ["value", "values"]),
                        });
                    }
                    lookup::paged(classes, writer)
                })?
            }
        };
        let search = cost::search(
            writer.len() - lookup_start,
            values.lookup.nodes,
            values.lookup.chain,
        );
        longest_search = longest_search.max(search);
        let before = signatures.clone();
        let longer = lengthen(&mut signatures, &values.named);
        open = open.and_then(|open| position(&longer, open));
        let (next, table) = fuse(
            &fused,
            signature_count,
            &longer,
            &values,
            |needed, allowed| CompileError::TooManyCombinations {
                packets: view.kind,
                fields: names.join(", "),
                needed,
                allowed,
                names: widest(rules, &fused, (&before, signature_count), &values),
            },
        )?;
        signature_count = longer.len();
        // The classes of the first field are the fused classes.
        let first = fused.len() == 1
            && table
                .iter()
                .map(|class| usize::from(*class))
                .eq(0..table.len());
        writer.align(2)?;
        steps[field as usize] = Step {
            lookup: values.lookup.at,
            classes: values.holders.len() as u32,
            table: if first { 0 } else { writer.offset() },
            padding: 0,
        };
        // The lookup, the three fields of the step and the cell.
        loads += values.lookup.loads + 4;
        if !first {
            tables += cost::load(table.len() * 2);
            writer.u16s(table)?;
        }
        fused = next;
    }
    Ok(L4Key {
        steps,
        used,
        loads,
        nanoseconds: cost::HEAD + longest_search + tables,
        bytes: writer.len() - start,
        signatures,
        signature_count,
        open,
        classes: fused,
    })
}

/// The rules with the most combinations of a fused class so far and a class of a field that they
/// name, and the number of combinations of each; `signatures` are the signatures before the field,
/// and their number.
fn widest(
    rules: &Rules<'_>,
    fused: &[Vec<SignatureId>],
    (signatures, signature_count): (&[SignatureId], usize),
    field: &FieldClasses,
) -> String {
    let mut classes = vec![0; signature_count];
    for signature in fused.iter().flatten() {
        classes[signature.0 as usize] += 1;
    }
    let combinations = |rule: usize| {
        let held = field.named[rule].map_or(0, |set| field.held[set.0 as usize].len());
        classes[signatures[rule].0 as usize] * held
    };
    culprits::largest(rules, combinations, ["combination", "combinations"])
}

/// The classes of a field, independent of the type of its values.
struct FieldClasses {
    lookup: Lookup,
    /// The set that each rule names.
    named: Vec<Option<SetId>>,
    /// The sets that hold each class.
    holders: Vec<Vec<SetId>>,
    /// The classes that each set holds.
    held: Vec<Vec<usize>>,
}

impl FieldClasses {
    /// The classes of the sets that rules name, of which `write` makes a lookup.
    fn new<'a, T: Value + Hash + 'a>(
        named: impl Iterator<Item = Option<&'a RangeSet<T>>>,
        write: impl FnOnce(&Classes<T>) -> Result<Lookup, CompileError>,
    ) -> Result<Self, CompileError> {
        let mut sets = ClassSets::default();
        let named = named.map(|set| set.map(|set| sets.intern(set))).collect();
        let classes = sets.classes();
        let holders = sets.holders(&classes);
        let mut held = vec![Vec::new(); sets.len()];
        for (class, sets) in holders.iter().enumerate() {
            for set in sets {
                held[set.0 as usize].push(class);
            }
        }
        Ok(Self {
            lookup: write(&classes)?,
            named,
            holders,
            held,
        })
    }
}

/// A signature and the set that one more field adds to it.
type Longer = (SignatureId, Option<SetId>);

/// Extends the signature of each rule by its set in one more field, and returns the distinct new
/// signatures.
fn lengthen(signatures: &mut [SignatureId], named: &[Option<SetId>]) -> Vec<Longer> {
    let mut longer = Vec::new();
    let mut numbers = HashMap::new();
    for (signature, set) in signatures.iter_mut().zip(named) {
        let pair = (*signature, *set);
        *signature = *numbers.entry(pair).or_insert_with(|| {
            longer.push(pair);
            SignatureId(longer.len() as u32 - 1)
        });
    }
    longer
}

/// The extension of the signature `open` that names no set in the new field.
fn position(longer: &[Longer], open: SignatureId) -> Option<SignatureId> {
    let at = longer.iter().position(|&pair| pair == (open, None))?;
    Some(SignatureId(at as u32))
}

/// The fused classes over the longer signatures, and the table that leads to them.
fn fuse(
    fused: &[Vec<SignatureId>],
    signature_count: usize,
    longer: &[Longer],
    field: &FieldClasses,
    too_many: impl Fn(usize, usize) -> CompileError,
) -> Result<(Vec<Vec<SignatureId>>, Vec<u16>), CompileError> {
    let columns = field.holders.len();
    let cells = fused.len() * columns;
    if cells > MAX_CELLS {
        return Err(too_many(cells, MAX_CELLS));
    }
    if longer.len() > MAX_SIGNATURES {
        return Err(too_many(longer.len(), MAX_SIGNATURES));
    }
    let mut having = vec![Vec::new(); signature_count];
    for (class, signatures) in fused.iter().enumerate() {
        for signature in signatures {
            having[signature.0 as usize].push(class);
        }
    }
    let marks = longer.iter().fold(0_usize, |marks, (signature, set)| {
        let wide = set.map_or(columns, |set| field.held[set.0 as usize].len());
        marks.saturating_add(having[signature.0 as usize].len() * wide)
    });
    if marks > MAX_MARKS {
        return Err(too_many(marks, MAX_MARKS));
    }
    let mut identities = vec![0_u128; cells];
    for (id, (signature, set)) in (0..).zip(longer) {
        let number = number(id);
        for class in &having[signature.0 as usize] {
            let row = &mut identities[class * columns..][..columns];
            match set {
                Some(set) => {
                    for column in &field.held[set.0 as usize] {
                        row[*column] ^= number;
                    }
                }
                None => row.iter_mut().for_each(|identity| *identity ^= number),
            }
        }
    }
    // The longer signatures that fit every class of the field, and those that fit each.
    let mut fitting_all = Vec::new();
    let mut fitting = vec![Vec::new(); columns];
    for (id, (_, set)) in (0..).map(SignatureId).zip(longer) {
        match set {
            Some(set) => {
                for column in &field.held[set.0 as usize] {
                    fitting[*column].push(id);
                }
            }
            None => fitting_all.push(id),
        }
    }
    let mut next = Vec::new();
    let mut numbers = HashMap::new();
    let mut table = Vec::with_capacity(cells);
    let mut has = vec![false; signature_count];
    for (signatures, row) in fused.iter().zip(identities.chunks_exact(columns)) {
        has.fill(false);
        for signature in signatures {
            has[signature.0 as usize] = true;
        }
        for (identity, fitting) in row.iter().zip(&fitting) {
            let number = match numbers.get(identity) {
                Some(number) => *number,
                None => {
                    let number = u16::try_from(numbers.len())
                        .map_err(|_| too_many(numbers.len() + 1, MAX_CLASSES))?;
                    let mut ids: Vec<SignatureId> = fitting_all
                        .iter()
                        .chain(fitting)
                        .filter(|id| has[longer[id.0 as usize].0.0 as usize])
                        .copied()
                        .collect();
                    ids.sort_unstable();
                    next.push(ids);
                    numbers.insert(*identity, number);
                    number
                }
            };
            table.push(number);
        }
    }
    Ok((next, table))
}

/// The values of a field, all of which fit the type.
fn narrow<T: Value + TryFrom<u64>, A>(
    view: &View<'_, A>,
    field: Field,
) -> Vec<Option<RangeSet<T>>> {
    let fit = |value: u64| T::try_from(value).unwrap_or(T::MAX);
    let of_rule = |set: &RangeSet<u64>| {
        let ranges = set.ranges().iter();
        let narrow = ranges.map(|&(first, last)| (fit(first), fit(last)));
        RangeSet::from_ranges(narrow.collect())
    };
    let rules = view.rules.iter();
    rules
        .map(|rule| rule.fields[field as usize].as_ref().map(of_rule))
        .collect()
}
