//! Entries: what a rule does, and the slot of its counter.
//!
//! An *entry* is `slot << 2 | what`, with `what` one of [`PASS`], [`DROP`], [`COUNT`], and
//! [`NO_MATCH`] at the end of a list. To the slot of a rule that logs, [`LOGS`] is added.

/// An entry that passes the packet.
pub const PASS: u32 = 0;
/// An entry that drops the packet.
pub const DROP: u32 = 1;
/// An entry that counts the packet and goes on.
pub const COUNT: u32 = 2;
/// An entry that says that no rule matches.
pub const NO_MATCH: u32 = 3;

/// The first counter slot that no rule can have.
pub const SLOT_LIMIT: u32 = 1 << 21;
/// The bit beside a counter slot that says that the rule logs.
pub const LOGS: u32 = SLOT_LIMIT;
