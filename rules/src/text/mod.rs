//! Text forms that know nothing of rules: numbers, ranges, lengths of time, hexadecimal digits, names that were meant,
//! text that is safe to print.

mod duration;
pub mod hexadecimal;
mod nearest;
pub(crate) mod number;
mod quantity;
mod quoted;
mod range;
mod system_error;

pub use self::{
    duration::duration,
    nearest::nearest,
    quantity::{counted, grouped},
    quoted::{escaped, escaped_json, escaped_lines, is_hidden},
    system_error::without_error_number,
};
pub(crate) use self::{
    number::NumberError,
    quoted::quoted,
    range::{prefix, span},
};
