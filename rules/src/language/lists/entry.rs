//! What a line of a list can be.

use crate::{
    field::{AddressError, Addresses},
    text::escaped,
};

/// The longest line that is read, in bytes. What is longer is no list.
pub(super) const MAX_LINE: usize = 4096;

/// A line that names addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLine<'a> {
    /// What it names.
    pub addresses: Addresses,
    /// The text that names it.
    pub text: &'a [u8],
    /// What follows, without comment and without white space around.
    pub rest: &'a [u8],
    /// The form of the line.
    pub form: LineForm,
}

/// What form a line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineForm {
    /// Addresses, then words, which what reads the line may give a meaning.
    Words {
        /// Whether a tab separates the two.
        is_tabbed: bool,
    },
    /// An entry as `ipset save` writes it. What follows is its timeout in seconds, if it has one.
    Ipset,
    /// Columns with commas between. What follows is the whole line.
    Columns,
    /// Addresses and what describes them: nothing follows.
    Described,
}

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// What should name addresses does not.
    #[error("{0}")]
    Address(AddressError),
    /// It is longer than any list has.
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It has more than one word or column that could be meant.
    #[error("the line has several columns, and does not say which has the address")]
    Columns,
    /// It has fewer columns than the one that is asked for.
    #[error("the line has no column {0}")]
    NoColumn(usize),
    /// An `ipset` entry that takes addresses out of its set.
    #[error("an entry with `nomatch` is an exception, not a member")]
    Exception,
}

impl LineError {
    /// How to put it right.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Address(error) => error.help(),
            Self::Columns => Some(
                "say which column has the addresses: `{ file = \"...\", column = 1 }`".to_owned(),
            ),
            Self::Exception => {
                Some("negate the address where a rule uses the set: `\"!192.0.2.1\"`".to_owned())
            }
            Self::TooLong | Self::NoColumn(_) => None,
        }
    }

    /// The message about `text`, with the help in the same line.
    #[must_use]
    pub fn about(&self, text: &[u8]) -> String {
        let shown = escaped(&String::from_utf8_lossy(text));
        if *self == Self::Address(AddressError::NotAnAddress) {
            return format!("`{shown}` is neither an address, a prefix nor a range");
        }
        match self.help() {
            Some(help) => format!("`{shown}`: {self}: {help}"),
            None => format!("`{shown}`: {self}"),
        }
    }
}

impl From<AddressError> for LineError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}
