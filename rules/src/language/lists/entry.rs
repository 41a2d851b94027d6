//! The contents of a line of a list.

use crate::{
    field::{AddressError, Addresses},
    text::escaped,
};

/// The maximum length of a line in bytes.
pub(super) const MAX_LINE: usize = 4096;

/// A line that names addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLine<'a> {
    /// The addresses that it names.
    pub addresses: Addresses,
    /// The text that names them.
    pub text: &'a [u8],
    /// The rest of the line, without comment and surrounding white space.
    pub rest: &'a [u8],
    /// The form of the line.
    pub form: LineForm,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineForm {
    /// Addresses, then words, whose meaning depends on the reader of the line.
    Words {
        /// Whether a tab separates the two.
        is_tabbed: bool,
    },
    /// An entry as `ipset save` writes it. The rest is its timeout in seconds, if it has one.
    Ipset,
    /// Columns separated by commas. The rest is the whole line.
    Columns,
    /// Addresses and a description; the rest is empty.
    Described,
}

/// The reason why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The text in place of addresses does not name any.
    #[error("{0}")]
    Address(AddressError),
    /// It exceeds the maximum length of a line.
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// More than one of its words or columns could be the address.
    #[error("the line has several columns, and does not say which has the address")]
    Columns,
    /// It does not have the requested column.
    #[error("the line has no column {0}")]
    NoColumn(usize),
    /// An `ipset` entry that excludes addresses from its set.
    #[error("an entry with `nomatch` is an exception, not a member")]
    Exception,
}

impl LineError {
    /// How to fix it.
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
