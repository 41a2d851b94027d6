//! Text forms that know nothing of rules: numbers, ranges, hexadecimal digits, names that were meant.

pub mod hexadecimal;
mod nearest;
pub(crate) mod number;
mod quoted;
mod range;

pub use self::{
    nearest::nearest,
    quoted::{escaped, escaped_lines, is_hidden},
};
pub(crate) use self::{
    number::NumberError,
    quoted::quoted,
    range::{prefix, span},
};
