//! Fields whose values are numbers, some of which may have names.

use firewall_ebpf::field::Field;

use super::table;
use crate::text::{NumberError, number};

/// A field whose values are numbers from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The word for a value in messages.
    pub what: &'static str,
    /// The largest value.
    pub max: u16,
    /// The message about a larger value.
    pub largest: &'static str,
    /// The names of values; the first name of a value is the one to print.
    pub names: &'static [(&'static str, u8)],
    /// The default value of a packet.
    pub usual: u16,
    /// The narrow field of the image whose keys are made of the values.
    pub(crate) key: Field,
}

impl Number {
    /// The value called `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u16> {
        table::number(self.names, name).map(u16::from)
    }

    /// The names of all values that have one.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.names.iter().map(|(name, _)| *name)
    }

    /// Reads a name, a number or a range.
    pub(crate) fn range(&self, text: &str) -> Result<(u16, u16), NumberError> {
        if let Some(number) = self.named(text) {
            return Ok((number, number));
        }
        let (first, last) = number::range(text)?;
        if last > self.max {
            return Err(NumberError::TooLarge);
        }
        Ok((first, last))
    }
}
