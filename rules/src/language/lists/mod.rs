//! List files, and the grammar of lines that they share with bans.
//!
//! This module owns the grammar of lists. It does not know for which set a file is read.

mod columns;
mod comment;
mod entry;
mod file;
mod forms;
mod ipset;
mod line;

pub(crate) use self::file::members;
pub use self::{
    entry::{LineError, LineForm, ListLine, MAX_LINE},
    file::{List, ListOptions, parse, parse_with},
    line::{content, line, subject},
};
