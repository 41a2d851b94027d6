//! The syntax of a rule file: from TOML to tables with known keys, and values as written.
//!
//! This module owns the keys, their TOML types, and the text forms of addresses and numbers. It
//! does not know the contents of sets, nor which values a field accepts.

mod foreign_keys;
mod read;
mod table;
mod toml;
mod tree;

pub(super) use self::tree::{
    At, Log, Set, Test, WrittenBans, WrittenFlows, WrittenPackets, WrittenParser, WrittenSettings,
};
pub(crate) use self::{
    read::file,
    toml::tree,
    tree::{Field, File, ListFiles, Members, Operand, Term, WrittenRule},
};
