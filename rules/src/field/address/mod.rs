//! Addresses: ranges and sets of them, and the one reader of their text form.
//!
//! Rule files, list files, bans and the control socket all read addresses with [`read`]. This
//! module does not know where the text comes from.

mod blocks;
mod error;
mod range;
mod reader;
mod set;
mod single;

pub(crate) use self::{blocks::BLOCKS, reader::leading, set::Ranges, single::ipv4};
pub use self::{
    error::AddressError,
    range::AddressRange,
    reader::{Addresses, read},
    set::AddressSet,
};
