//! Addresses: ranges and sets of them, and the one reader of their text form.
//!
//! Rule files, list files, bans and the control socket all read addresses with [`read`]. This
//! module does not know where the text comes from.

mod error;
mod range;
mod reader;
mod set;
mod single;

pub use self::{
    error::AddressError,
    range::AddressRange,
    reader::{Addresses, read},
    set::AddressSet,
};
pub(crate) use self::{reader::leading, set::Ranges, single::ipv4};
