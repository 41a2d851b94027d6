//! The small fields fused into one class, a field at a time.
//!
//! Rules that name the same sets in the fields so far share a *signature*. A fused class is a set
//! of signatures; with the next field each pair of a fused class and a class of the field leads to
//! a set of longer signatures, and pairs with equal sets become one fused class. This is recursive
//! flow classification (Gupta, McKeown: Packet Classification on Multiple Fields, 1999) over
//! signatures in place of rules, of which there are far fewer.

use std::collections::HashMap;

use firewall_ebpf::image::{FIELDS, Field, Step};

use super::{
    CompileError,
    classes::{Classes, SetId, Sets},
    rows::{Rows, ones},
    trie,
    view::View,
    writer::Writer,
};

/// The most cells of one step table; 2 bytes each.
const MAX_CELLS: usize = 1 << 22;

/// The most fused classes: a step table holds 16-bit numbers.
const MAX_CLASSES: usize = 1 << 16;

/// The fused classes of a section.
pub(super) struct Upper {
    /// The steps for the image.
    pub(super) steps: [Step; FIELDS],
    /// Bit `f` is set when a rule names field `f`.
    pub(super) used: u32,
    /// For each fused class a row over the rules of the section.
    pub(super) rows: Rows,
}

/// Fuses the fields that the rules name and writes their tries and tables.
///
/// # Errors
///
/// [`CompileError::TooManyCombinations`] or [`CompileError::TooLarge`].
pub(super) fn write<A>(view: &View<'_, A>, writer: &mut Writer) -> Result<Upper, CompileError> {
    let mut steps = [Step::default(); FIELDS];
    let mut used = 0;
    // Before any field all rules have one signature, and one class holds it.
    let mut signatures = vec![0_usize; view.rules.len()];
    let mut fused = Rows::new(1);
    fused.push([0]);
    let mut names = Vec::new();
    for field in Field::ALL {
        if view
            .rules
            .iter()
            .all(|rule| rule.fields[field as usize].is_none())
        {
            continue;
        }
        used |= 1 << field as u32;
        names.push(name(field));
        let (named, longer, classes, trie) = match field {
            Field::Interface => {
                let mut sets = Sets::default();
                let named: Vec<_> = view
                    .rules
                    .iter()
                    .map(|rule| {
                        rule.fields[field as usize]
                            .as_ref()
                            .map(|set| sets.intern(set))
                    })
                    .collect();
                let classes = sets.classes();
                let trie = trie::write(&classes, writer)?;
                let longer = lengthen(&mut signatures, &named);
                (sets.len(), longer, summary(&classes), trie)
            }
            Field::Protocol | Field::Sport | Field::Dport | Field::TcpFlags | Field::Icmp => {
                let narrow: Vec<_> = view
                    .rules
                    .iter()
                    .map(|rule| rule.fields[field as usize].as_ref().map(narrow))
                    .collect();
                let mut sets = Sets::default();
                let named: Vec<_> = narrow
                    .iter()
                    .map(|set| set.as_ref().map(|set| sets.intern(set)))
                    .collect();
                let classes = sets.classes();
                let trie = trie::write(&classes, writer)?;
                let longer = lengthen(&mut signatures, &named);
                (sets.len(), longer, summary(&classes), trie)
            }
        };
        let (fused_next, table) = fuse(&fused, &longer, named, &classes, || {
            (view.kind, names.join(", "))
        })?;
        writer.align(2)?;
        steps[field as usize] = Step {
            trie,
            absent: classes.absent,
            classes: classes.holders.len() as u32,
            table: writer.offset(),
        };
        writer.u16s(table)?;
        fused = fused_next;
    }
    let mut rules_of = HashMap::<usize, Vec<usize>>::new();
    for (rule, signature) in signatures.iter().enumerate() {
        rules_of.entry(*signature).or_default().push(rule);
    }
    let mut rows = Rows::new(view.rules.len());
    for class in fused.iter() {
        let signatures = ones(class.iter().copied());
        rows.push(
            signatures
                .filter_map(|signature| rules_of.get(&signature))
                .flatten()
                .copied(),
        );
    }
    Ok(Upper { steps, used, rows })
}

/// The classes of a field without their type of value.
struct FieldClasses {
    absent: u32,
    holders: Vec<Vec<SetId>>,
}

fn summary<T>(classes: &Classes<T>) -> FieldClasses {
    FieldClasses {
        absent: classes.outside.0,
        holders: classes.holders.clone(),
    }
}

/// Gives each rule the signature that its set in one more field makes of the one it has, and
/// returns the distinct ones: the shorter signature and the set.
fn lengthen(signatures: &mut [usize], named: &[Option<SetId>]) -> Vec<(usize, Option<SetId>)> {
    let mut longer = Vec::new();
    let mut numbers = HashMap::new();
    for (signature, set) in signatures.iter_mut().zip(named) {
        let pair = (*signature, *set);
        *signature = *numbers.entry(pair).or_insert_with(|| {
            longer.push(pair);
            longer.len() - 1
        });
    }
    longer
}

/// The fused classes over the longer signatures, and the table that leads to them.
fn fuse(
    fused: &Rows,
    longer: &[(usize, Option<SetId>)],
    sets: usize,
    classes: &FieldClasses,
    about: impl Fn() -> (super::PacketKind, String),
) -> Result<(Rows, Vec<u16>), CompileError> {
    let too_many = |needed, allowed| {
        let (packets, fields) = about();
        CompileError::TooManyCombinations {
            packets,
            fields,
            needed,
            allowed,
        }
    };
    let cells = fused.len() * classes.holders.len();
    if cells > MAX_CELLS {
        return Err(too_many(cells, MAX_CELLS));
    }
    // The longer signatures that a fused class allows, and those that a class of the field does.
    let mut by_fused = Rows::new(longer.len());
    for class in fused.iter() {
        let held = |signature: usize| class[signature / 64] & 1 << (signature % 64) != 0;
        by_fused.push((0..longer.len()).filter(|&index| held(longer[index].0)));
    }
    let mut by_class = Rows::new(longer.len());
    let mut holds = vec![false; sets];
    for holders in &classes.holders {
        holds.fill(false);
        for set in holders {
            holds[set.0 as usize] = true;
        }
        by_class.push(
            (0..longer.len())
                .filter(|&index| longer[index].1.is_none_or(|set| holds[set.0 as usize])),
        );
    }
    let mut next = Rows::new(longer.len());
    let mut numbers = HashMap::<Vec<u64>, u16>::new();
    let mut table = Vec::with_capacity(cells);
    for left in by_fused.iter() {
        for right in by_class.iter() {
            let both: Vec<u64> = left.iter().zip(right).map(|(a, b)| a & b).collect();
            let number = match numbers.get(&both) {
                Some(number) => *number,
                None => {
                    let number = u16::try_from(numbers.len())
                        .map_err(|_| too_many(numbers.len() + 1, MAX_CLASSES))?;
                    next.push(ones(both.iter().copied()));
                    numbers.insert(both, number);
                    number
                }
            };
            table.push(number);
        }
    }
    Ok((next, table))
}

/// Values of the fields other than the interface fit 16 bits.
fn narrow(set: &crate::ranges::RangeSet<u32>) -> crate::ranges::RangeSet<u16> {
    let ranges = set.ranges().iter();
    crate::ranges::RangeSet::from_ranges(
        ranges
            .map(|&(first, last)| (first as u16, last as u16))
            .collect(),
    )
}

/// The field's name in the rule language.
fn name(field: Field) -> &'static str {
    match field {
        Field::Protocol => "proto",
        Field::Sport => "sport",
        Field::Dport => "dport",
        Field::TcpFlags => "tcp_flags",
        Field::Icmp => "icmp_type",
        Field::Interface => "interface",
    }
}
