//! Stages of the compiler, for progress messages and for errors about a table that does not fit.

use std::fmt;

use super::kind::SectionKind;

/// A step of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The tables for packets of one kind and direction.
    Table {
        /// The packets.
        packets: SectionKind,
        /// The number of rules that can match them.
        rules: usize,
        /// The table.
        table: StageTable,
    },
    /// The parts of the image outside the tables: the header and the metadata.
    Frame,
}

/// A table, or group of tables, for packets of one kind and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageTable {
    /// The search for the source address.
    Source,
    /// The search for the destination address.
    Destination,
    /// The searches for the narrow fields, and the tables that fuse them.
    NarrowFields,
    /// The direct table over all classes.
    DirectTable,
    /// The direct table over pairs of address classes.
    Grid,
    /// The rules with many classes on both sides.
    Wide,
    /// The rules with few classes on one side.
    Records,
    /// The rules with few classes on both sides.
    Pairs,
    /// The tables that resolve lists of rules.
    Lists,
    /// Bit vectors over rules.
    Rows,
}

impl fmt::Display for StageTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source addresses",
            Self::Destination => "destination addresses",
            Self::NarrowFields => "narrow fields",
            Self::DirectTable => "direct table",
            Self::Grid => "grid",
            Self::Wide => "wide table",
            Self::Records => "records",
            Self::Pairs => "pairs",
            Self::Lists => "lists",
            Self::Rows => "rows",
        })
    }
}

/// In the form that follows "for the ...".
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { packets, table, .. } => write!(f, "{table} of {packets} packets"),
            Self::Frame => f.write_str("names of the rules"),
        }
    }
}
