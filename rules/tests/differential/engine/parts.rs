//! Which of the things that [`firewall_ebpf::image`] describes an image holds.

use std::{collections::BTreeSet, mem::offset_of};

use firewall_ebpf::image::{
    FIELDS, Header, LEAF, Memory, NODE_CLASSES, NODE_DENSE, NODE_PAIR, SECTION_OTHER, Section, Step,
};
use rules::compiler::{Image, Part as Planned};

/// A part that not every image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A section with a table of cells.
    Cells,
    /// Rules in a table of wide classes.
    Wide,
    /// Rules in records of one side's classes.
    Records,
    /// Rules in pairs of classes.
    Pairs,
    /// Lists of several items.
    Lists,
    /// Lists in the form of a table over upper-layer classes.
    Tables,
    /// A section with rows.
    Rows,
    /// A section with rows of more than one summary word.
    LongRows,
    /// A node with bounds and references.
    References,
    /// A node with bounds and classes.
    Classes,
    /// A node whose intervals alternate.
    Pair,
    /// A node with a reference for every digit.
    Dense,
}

/// The parts of an image.
pub(super) fn parts(image: &Image) -> BTreeSet<Part> {
    let mut found = BTreeSet::new();
    for part in image.plan().sections.iter().flat_map(|plan| &plan.parts) {
        found.extend(match *part {
            Planned::Cells { .. } => Some(Part::Cells),
            Planned::Wide { rules, .. } => (rules > 0).then_some(Part::Wide),
            Planned::Records { rules, .. } => (rules > 0).then_some(Part::Records),
            Planned::Pairs { pairs, .. } => (pairs > 0).then_some(Part::Pairs),
            Planned::Leaves { loads, .. } => (loads > 2).then_some(Part::Lists),
            Planned::Rows { .. } => Some(Part::Rows),
            Planned::Address { .. } | Planned::Upper { .. } => None,
        });
        found.extend(match *part {
            Planned::Leaves { tables, .. } => (tables > 0).then_some(Part::Tables),
            Planned::Rows { rules, .. } => (rules > 64 * 64).then_some(Part::LongRows),
            _ => None,
        });
    }
    let image = image.bytes();
    for index in 0..=SECTION_OTHER {
        let section = image.u32((offset_of!(Header, sections) + 4 * index) as u32);
        let get = |field: usize| image.u32(section + field as u32);
        let mut references = Vec::new();
        if index != SECTION_OTHER {
            references.push(get(offset_of!(Section, src)));
            references.push(get(offset_of!(Section, dst)));
        }
        for field in 0..FIELDS {
            if get(offset_of!(Section, steps_used)) & 1 << field != 0 {
                let step = offset_of!(Section, steps) + field * size_of::<Step>();
                references.push(get(step + offset_of!(Step, trie)));
            }
        }
        nodes(image, references, &mut found);
    }
    found
}

fn nodes(image: &[u8], mut references: Vec<u32>, found: &mut BTreeSet<Part>) {
    let mut seen = BTreeSet::new();
    while let Some(node) = references.pop() {
        if node & LEAF != 0 || !seen.insert(node) {
            continue;
        }
        let count = u32::from(image.u16(node));
        let (part, first, children) = match image.u16(node + 2) {
            NODE_CLASSES => (Part::Classes, 0, 0),
            NODE_PAIR => (Part::Pair, node + 4, 2),
            NODE_DENSE => (Part::Dense, node + 4, 0x1_0000),
            _ => {
                let bounds = (2 * count).next_multiple_of(4);
                (Part::References, node + 4 + bounds, count + 1)
            }
        };
        found.insert(part);
        references.extend((0..children).map(|child| image.u32(first + 4 * child)));
    }
}
