//! What is written for other filters: their tools take it, and they decide as the rule set does.
//!
//! Everything is in network namespaces of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

mod counted;
mod taken;
mod tool_host;
