//! Rule sets written for other filters: their tools accept them, and they decide as the rule set
//! does.
//!
//! Everything runs in temporary network namespaces.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

mod counted;
mod taken;
mod tool_host;
