//! The structures that the compiler chose for a rule set and their cost: printed by `firewall check
//! --plan`.

use super::{
    address::SearchForm,
    cost,
    kind::{PacketKind, SectionKind},
};
use crate::{field::StateSet, model::Direction};

/// The tables of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The sections, in the order IPv4, IPv6, other; those for packets out after those for packets
    /// in, and only if the rule set filters packets out. States with the same rules share a section.
    pub sections: Vec<SectionPlan>,
    /// The size of the image in bytes.
    pub bytes: usize,
}

/// The tables for packets of one kind and direction, and of some states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionPlan {
    /// The direction of the packets.
    pub direction: Direction,
    /// The kind of packets.
    pub packets: PacketKind,
    /// Their states; `None` in an image with one section for all states.
    pub states: Option<StateSet>,
    /// The number of rules that can match them.
    pub rules: usize,
    /// The tables, in the order in which a packet uses them.
    pub parts: Vec<Part>,
}

/// One table or group of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The search for an address.
    Address {
        /// `src` or `dst`.
        field: &'static str,
        /// The form of the search.
        form: SearchForm,
        /// The number of classes of addresses.
        classes: usize,
        /// The number of intervals of addresses.
        intervals: usize,
        /// Its size in bytes.
        bytes: usize,
        /// The maximum number of loads of a search.
        loads: u32,
        /// The maximum number of dependent loads among them.
        chain: u32,
        /// The maximum number of nodes that a search visits.
        nodes: u32,
    },
    /// The reduction of the narrow fields to one L4 class.
    Upper {
        /// The number of L4 classes.
        classes: usize,
        /// The number of distinct combinations of narrow fields that rules name.
        signatures: usize,
        /// The size of lookups and tables in bytes.
        bytes: usize,
        /// The maximum number of loads.
        loads: u32,
        /// The expected nanoseconds of the longest search and one cell of each table.
        nanoseconds: u32,
    },
    /// A direct table over all classes.
    Cells {
        /// The number of cells.
        cells: usize,
        /// Its size in bytes.
        bytes: usize,
        /// The maximum number of loads.
        loads: u32,
    },
    /// A direct table over pairs of address classes.
    Grid {
        /// The number of cells.
        cells: usize,
        /// The number of distinct lists of rules.
        lists: usize,
        /// Its size in bytes, lists included.
        bytes: usize,
    },
    /// The rules with many classes on both sides: a table.
    Wide {
        /// The number of wide source classes.
        rows: usize,
        /// The number of wide destination classes.
        columns: usize,
        /// The number of rules.
        rules: usize,
        /// Its size in bytes.
        bytes: usize,
    },
    /// The rules with few classes on one side: records.
    Records {
        /// The number of records of source classes.
        src: usize,
        /// The number of records of destination classes.
        dst: usize,
        /// The number of rules.
        rules: usize,
        /// Their size in bytes, including the leaves to which they lead.
        bytes: usize,
    },
    /// The rules with few classes on both sides: a hash table.
    Pairs {
        /// The number of pairs of classes.
        pairs: usize,
        /// The number of rules.
        rules: usize,
        /// The size of the hash table in bytes.
        bytes: usize,
    },
    /// The tables that resolve the lists to which the address classes lead.
    Leaves {
        /// The number of lists in the form of a table over L4 classes.
        tables: usize,
        /// The size of signatures, lists and tables in bytes.
        bytes: usize,
        /// The maximum number of loads for one of the four lists.
        loads: u32,
    },
    /// The `count` rules, and rules without a place in the other tables: bit vectors.
    Rows {
        /// The number of rules.
        rules: usize,
        /// The maximum number of steps of a walk, each of three loads.
        steps: u32,
        /// Their size in bytes.
        bytes: usize,
    },
}

impl Part {
    /// The size of the part in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Address { bytes, .. }
            | Self::Upper { bytes, .. }
            | Self::Cells { bytes, .. }
            | Self::Grid { bytes, .. }
            | Self::Wide { bytes, .. }
            | Self::Records { bytes, .. }
            | Self::Pairs { bytes, .. }
            | Self::Leaves { bytes, .. }
            | Self::Rows { bytes, .. } => *bytes,
        }
    }

    /// The maximum number of loads from the image that one packet needs in the part.
    #[must_use]
    pub const fn loads(&self) -> u32 {
        match self {
            Self::Address { loads, .. } | Self::Upper { loads, .. } | Self::Cells { loads, .. } => {
                *loads
            }
            // Four fields of the section, the cell, the chunk's number, its byte, the rule's number
            // and the item.
            Self::Grid { .. } => 9,
            // Two fields of the section and the leaf.
            Self::Wide { .. } => 3,
            // For each side two fields of the section, two words of the record, and the leaf.
            Self::Records { .. } => 2 * 5,
            // Four fields of the section, the seed, and two words of the pair.
            Self::Pairs { .. } => 7,
            // Two fields of the section, and all four lists.
            Self::Leaves { loads, .. } => 2 + 4 * *loads,
            // Six fields of the section; three rows at each step, and an item.
            Self::Rows { steps, .. } => 6 + 4 * *steps,
        }
    }

    /// The expected nanoseconds of the part's chain of dependent loads; see [`cost`].
    #[must_use]
    pub fn nanoseconds(&self) -> u32 {
        match self {
            Self::Address {
                bytes,
                chain,
                nodes,
                ..
            } => cost::search(*bytes, *nodes, *chain),
            Self::Upper { nanoseconds, .. } => *nanoseconds,
            // The cell and the entry.
            Self::Cells { bytes, .. } => cost::HEAD + 2 * cost::load(*bytes),
            // The cell; then the chunk's number, its byte and the rule's number. The items are in
            // the same cache lines or near.
            Self::Grid { cells, bytes, .. } => {
                let table = cells * size_of::<u32>();
                let lists = bytes.saturating_sub(table);
                cost::HEAD + cost::load(table) + 3 * cost::load(lists)
            }
            Self::Wide { bytes, .. } => cost::HEAD + cost::load(*bytes),
            // The record and the leaf; the seed and the pair.
            Self::Records { bytes, .. } | Self::Pairs { bytes, .. } => {
                cost::HEAD + 2 * cost::load(*bytes)
            }
            // A signature or an index, and an item.
            Self::Leaves { bytes, .. } => cost::HEAD + 2 * cost::load(*bytes),
            // A summary word, a word, and an item.
            Self::Rows { bytes, .. } => cost::HEAD + 3 * cost::load(*bytes),
        }
    }

    /// The name of the part.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Address { field, .. } => field,
            Self::Upper { .. } => "narrow fields",
            Self::Cells { .. } => "cells",
            Self::Grid { .. } => "grid",
            Self::Wide { .. } => "wide table",
            Self::Records { .. } => "records",
            Self::Pairs { .. } => "pairs",
            Self::Leaves { .. } => "lists",
            Self::Rows { .. } => "rows",
        }
    }

    /// The structure of the part.
    #[must_use]
    pub const fn structure(&self) -> &'static str {
        match self {
            Self::Address { form, .. } => form.name(),
            Self::Upper { .. } => "lookups and step tables",
            Self::Cells { .. } | Self::Grid { .. } | Self::Wide { .. } => "direct table",
            Self::Records { .. } => "records by class",
            Self::Pairs { .. } => "perfect hash table",
            Self::Leaves { .. } => "lists and tables",
            Self::Rows { .. } => "bit vectors",
        }
    }

    /// The contents of the part: names of elements, and the number of each.
    #[must_use]
    pub fn holds(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Address {
                classes, intervals, ..
            } => vec![("intervals", *intervals), ("classes", *classes)],
            Self::Upper {
                classes,
                signatures,
                ..
            } => vec![("signatures", *signatures), ("classes", *classes)],
            Self::Cells { cells, .. } => vec![("cells", *cells)],
            Self::Grid { cells, lists, .. } => vec![("cells", *cells), ("lists", *lists)],
            Self::Wide {
                rows,
                columns,
                rules,
                ..
            } => vec![("rules", *rules), ("rows", *rows), ("columns", *columns)],
            Self::Records {
                src, dst, rules, ..
            } => vec![
                ("rules", *rules),
                ("source records", *src),
                ("destination records", *dst),
            ],
            Self::Pairs { pairs, rules, .. } => vec![("rules", *rules), ("pairs", *pairs)],
            Self::Leaves { tables, .. } => vec![("tables", *tables)],
            Self::Rows { rules, steps, .. } => {
                vec![("rules", *rules), ("steps at most", *steps as usize)]
            }
        }
    }
}

impl SectionPlan {
    /// The packets of the section.
    #[must_use]
    pub const fn kind(&self) -> SectionKind {
        SectionKind {
            is_reverse: false,
            direction: self.direction,
            packets: self.packets,
            states: self.states,
        }
    }

    /// The structure that leads from the classes of a packet to the rule that decides.
    #[must_use]
    pub fn decision(&self) -> &'static str {
        let has = |of: fn(&Part) -> bool| self.parts.iter().any(of);
        if has(|part| matches!(part, Part::Cells { .. })) {
            return "cells";
        }
        let grid = has(|part| matches!(part, Part::Grid { .. }));
        match (grid, has(|part| matches!(part, Part::Rows { .. }))) {
            (true, false) => "grid",
            (true, true) => "grid and rows",
            (false, false) => "pairs",
            (false, true) => "pairs and rows",
        }
    }

    /// The size of the section in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    /// The maximum number of loads from the image that one packet needs.
    #[must_use]
    pub fn loads(&self) -> u32 {
        self.parts.iter().map(Part::loads).sum()
    }

    /// The expected nanoseconds of a walk: of parts that do not depend on each other, which
    /// overlap, only the longest counts; see [`cost`].
    #[must_use]
    pub fn nanoseconds(&self) -> u32 {
        Turn::ALL
            .into_iter()
            .map(|turn| {
                let parts = self.parts.iter().filter(|part| Turn::of(part) == turn);
                parts.map(Part::nanoseconds).max().unwrap_or(0)
            })
            .sum()
    }
}

impl Plan {
    /// The maximum number of loads from the image that one packet needs.
    #[must_use]
    pub fn loads(&self) -> u32 {
        let sections = self.sections.iter();
        sections.map(SectionPlan::loads).max().unwrap_or(0)
    }
}

/// The position of a part in a walk: the parts of one turn depend on those of the previous turn,
/// but not on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The classes of the fields.
    Classes,
    /// The lookups by class.
    Leaves,
    /// The resolution of leaves.
    Items,
    /// The rows.
    Rows,
}

impl Turn {
    const ALL: [Self; 4] = [Self::Classes, Self::Leaves, Self::Items, Self::Rows];

    const fn of(part: &Part) -> Self {
        match part {
            Part::Address { .. } | Part::Upper { .. } => Self::Classes,
            Part::Cells { .. }
            | Part::Grid { .. }
            | Part::Wide { .. }
            | Part::Records { .. }
            | Part::Pairs { .. } => Self::Leaves,
            Part::Leaves { .. } => Self::Items,
            Part::Rows { .. } => Self::Rows,
        }
    }
}
