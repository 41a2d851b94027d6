//! Items: rules, in order of precedence.
//!
//! Rules that agree in all narrow fields share a *signature*. An *item* is one rule,
//!
//! | bits | |
//! | --- | --- |
//! | 0-15 | the signature |
//! | 16-17 | what, as in an [entry](super::entry) |
//! | 18-39 | the counter slot, and [`LOGS`](super::LOGS) |
//! | 40-62 | the rule's place in the order of precedence |
//!
//! so that of two items the smaller one decides; [`NONE`] is larger than every item.

/// No item: larger than all of them, and not negative as a signed number.
pub const NONE: u64 = u64::MAX >> 1;

/// The most signatures of a section.
pub const MAX_SIGNATURES: usize = 1 << 16;
/// The first place in the order of precedence that no item can have.
pub const ORDER_LIMIT: u32 = (1 << 23) - 1;

/// The item of a rule.
#[must_use]
pub const fn item(order: u32, slot: u32, what: u32, signature: u32) -> u64 {
    (order as u64) << 40 | (slot as u64) << 18 | (what as u64) << 16 | signature as u64
}
