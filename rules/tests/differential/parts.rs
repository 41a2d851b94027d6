//! Which of the things that [`firewall_ebpf::image`] describes an image holds.

use std::{collections::BTreeSet, mem::offset_of};

use firewall_ebpf::{
    field::Field,
    image::{
        BLOCK, HashNode, LEAF, Memory, NODE_HASH, NODE_KIND, NODE_PAGES, NODE_PAIR, NODE_UNIFORM,
        PAGE, PAGE_NUMBERS, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section, Step, tree_level,
    },
};
use rules::compiler::{Image, Part as Planned};

/// A part that not every image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A section with a table of cells.
    Cells,
    /// A section with a grid.
    Grid,
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
    /// A node whose intervals alternate.
    Pair,
    /// A node with pages of references.
    Pages,
    /// A uniform trie.
    Uniform,
    /// A hash table of single addresses.
    Hash,
}

/// The parts of an image.
pub(super) fn parts(image: &Image) -> BTreeSet<Part> {
    let mut found = BTreeSet::new();
    for part in image.plan().sections.iter().flat_map(|plan| &plan.parts) {
        found.extend(match *part {
            Planned::Cells { .. } => Some(Part::Cells),
            Planned::Grid { .. } => Some(Part::Grid),
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
            Planned::Address { .. }
            | Planned::Upper { .. }
            | Planned::Cells { .. }
            | Planned::Grid { .. }
            | Planned::Wide { .. }
            | Planned::Records { .. }
            | Planned::Pairs { .. } => None,
        });
    }
    let image = image.bytes();
    for section in [SECTION_IPV4, SECTION_IPV6, SECTION_OTHER] {
        let get = |field: usize| image.u32(section + field as u32);
        let mut references = Vec::new();
        if section != SECTION_OTHER {
            references.push(get(offset_of!(Section, src)));
            references.push(get(offset_of!(Section, dst)));
        }
        for field in [Field::Interface, Field::SrcMac, Field::DstMac] {
            if get(offset_of!(Section, steps_used)) & 1 << field as u32 != 0 {
                let step = offset_of!(Section, steps) + field as usize * size_of::<Step>();
                references.push(get(step + offset_of!(Step, lookup)));
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
        let kind = node & NODE_KIND;
        let node = node & !NODE_KIND;
        if kind == NODE_HASH {
            found.insert(Part::Hash);
            references.push(image.u32(node + offset_of!(HashNode, background) as u32));
            continue;
        }
        if kind >= NODE_UNIFORM {
            found.insert(Part::Uniform);
            continue;
        }
        let count = image.u32(node) & 0xffff;
        let (part, first, children) = match kind {
            NODE_PAIR => (Part::Pair, node + 8, 2),
            NODE_PAGES => {
                let numbers = (0..PAGE).map(|index| u32::from(image.u16(node + 2 * index)));
                let pages = numbers.max().map_or(0, |last| last + 1);
                (Part::Pages, node + PAGE_NUMBERS, pages * PAGE)
            }
            _ => {
                let levels = image.u32(node) >> 16;
                let blocks: u32 = (0..levels - 1).map(tree_level).sum();
                let blocks = blocks + count.div_ceil(BLOCK);
                (Part::References, node + 8 + blocks * BLOCK * 2, count + 1)
            }
        };
        found.insert(part);
        references.extend((0..children).map(|child| image.u32(first + 4 * child)));
    }
}
