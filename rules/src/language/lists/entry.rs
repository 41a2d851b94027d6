//! The contents of a line of a list.

use crate::{
    field::{AddressError, Addresses, address},
    text::escaped,
};

/// The maximum length of a line in bytes.
pub const MAX_LINE: usize = 4096;

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

impl<'a> ListLine<'a> {
    /// The line of a text that names addresses and has nothing beside them.
    ///
    /// # Errors
    ///
    /// If the text does not name any.
    pub(super) fn described(text: &'a [u8]) -> Result<Self, LineError> {
        Ok(Self {
            addresses: address::read(text)?,
            text,
            rest: b"",
            form: LineForm::Described,
        })
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineForm {
    /// Addresses, then words, whose meaning depends on the reader of the line.
    Words {
        /// Whether a tab separates the two.
        is_tabbed: bool,
    },
    /// An entry as `ipset save` or `ipset list` writes it. The rest is its timeout in seconds, if it has one.
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
    /// An `ipset` entry with an unknown or incomplete option.
    #[error("an option of the `ipset` entry cannot be read")]
    SetOption,
    /// A command of `ipset` other than `add`.
    #[error("this is a command of `ipset` without an address")]
    Command,
    /// A number after an address that could be the length of its prefix.
    #[error("the number after the address could be the length of a prefix")]
    Length,
    /// A carriage return that does not end the line.
    #[error("a carriage return is not the end of a line")]
    CarriageReturn,
    /// An object or an array of JSON.
    #[error("JSON is not read")]
    Json,
    /// A part of what `nft list` writes.
    #[error("sets of nftables are not read")]
    NftSet,
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
            Self::SetOption => Some(
                "options are `timeout SECONDS`, `comment \"...\"`, `packets N`, `bytes N`".to_owned(),
            ),
            Self::Length => Some(
                "write `192.0.2.0/24` for a prefix, or say which column of a list has the addresses: \
                 `{ file = \"...\", column = 1 }`"
                    .to_owned(),
            ),
            Self::CarriageReturn => {
                Some("end lines with a line feed, for example with `tr '\\r' '\\n'`".to_owned())
            }
            Self::Json => Some("convert it, for example with `jq -r .cidr`".to_owned()),
            Self::NftSet => Some("write one address per line, without `,` and `}`".to_owned()),
            Self::Command | Self::TooLong | Self::NoColumn(_) => None,
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
