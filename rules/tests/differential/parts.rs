//! Finds which of the structures in [`firewall_ebpf::image`] an image contains.

use std::{collections::BTreeSet, mem::offset_of};

use firewall_ebpf::{
    abi::Direction,
    field::{Field, FieldSet},
    image::{
        AFTER_HEAD, BLOCK, BLOCK_BYTES, HashNode, Memory, NODE_PAGES, NODE_PAIR, NodeHead, PAGE,
        PAGE_NUMBERS, Reference, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section, Step,
        level_bytes, section_offset,
    },
};
use rules::compiler::{Image, Part as Planned};

/// A part that not every image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A section with a direct table.
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
    /// Lists in the form of a table over L4 classes.
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
    /// A multibit trie.
    Multibit,
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
    let kinds = [SECTION_IPV4, SECTION_IPV6, SECTION_OTHER];
    for (direction, kind) in Direction::ALL
        .into_iter()
        .flat_map(|of| kinds.map(|kind| (of, kind)))
    {
        let section = section_offset(direction, kind);
        let get = |field: usize| image.u32(section + field as u32);
        let mut references = Vec::new();
        if kind != SECTION_OTHER {
            references.push(Reference::from_bits(get(offset_of!(Section, src))));
            references.push(Reference::from_bits(get(offset_of!(Section, dst))));
        }
        let used = FieldSet::from_bits(get(offset_of!(Section, steps_used)));
        for field in [
            Field::Interface,
            Field::InInterface,
            Field::Mark,
            Field::SrcMac,
            Field::DstMac,
        ] {
            if used.has(field) {
                let step = offset_of!(Section, steps) + field as usize * size_of::<Step>();
                references.push(Reference::from_bits(get(step + offset_of!(Step, lookup))));
            }
        }
        nodes(image, references, &mut found);
    }
    found
}

fn nodes(image: &[u8], mut references: Vec<Reference>, found: &mut BTreeSet<Part>) {
    let mut seen = BTreeSet::new();
    let read = |at: u32| Reference::from_bits(image.u32(at));
    while let Some(reference) = references.pop() {
        if reference.is_leaf() || !seen.insert(reference) {
            continue;
        }
        let node = reference.offset();
        if reference.is_hash() {
            found.insert(Part::Hash);
            references.push(read(node + offset_of!(HashNode, background) as u32));
            continue;
        }
        if reference.is_multibit() {
            found.insert(Part::Multibit);
            continue;
        }
        if reference.is_uniform() {
            found.insert(Part::Uniform);
            continue;
        }
        let head = NodeHead::from_bits(image.u32(node));
        let (part, first, children) = match reference.kind() {
            NODE_PAIR => (Part::Pair, node + AFTER_HEAD, 2),
            NODE_PAGES => {
                let numbers = (0..PAGE).map(|index| u32::from(image.u16(node + 2 * index)));
                let pages = numbers.max().map_or(0, |last| last + 1);
                (Part::Pages, node + PAGE_NUMBERS, pages * PAGE)
            }
            _ => {
                let above: u32 = (0..head.levels() - 1).map(level_bytes).sum();
                let last = head.bounds().div_ceil(BLOCK) * BLOCK_BYTES;
                let first = node + AFTER_HEAD + above + last;
                (Part::References, first, head.bounds() + 1)
            }
        };
        found.insert(part);
        references.extend((0..children).map(|child| read(first + 4 * child)));
    }
}
