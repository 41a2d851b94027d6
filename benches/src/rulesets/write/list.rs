//! Address lists as text.

use std::fmt::Write as _;

use crate::rulesets::AddressList;

/// The list, one member per line: an address, a prefix, or a range `first-last`.
#[must_use]
pub fn list(list: &AddressList) -> String {
    let mut text = String::with_capacity(list.members.len() * 16);
    for member in &list.members {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{member}");
    }
    text
}
