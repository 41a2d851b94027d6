//! List files, and the lines of them that bans have in common with them.
//!
//! This module owns the grammar of lists. It does not know which set a file is for.

mod entry;
mod file;
mod forms;
mod line;

pub(crate) use self::file::members;
pub use self::{
    entry::{LineError, LineForm, ListLine},
    file::{List, ListOptions, parse, parse_with},
    line::{content, line, subject},
};
