//! The proof of verdicts: rule sets and blocklists as people use them are written as rule files,
//! loaded and compiled; then the image as the XDP program walks it, the reference evaluator, and
//! a scan over the rules as they were before they were written must agree on every packet.
//!
//! [`published`] takes what lies in `../shared/data`, or in the folder that `FIREWALL_DATA` names, else
//! generated files; with `FIREWALL_LONG=1` the reference evaluator judges more of the packets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

mod data;
mod engine;
mod generated;
mod proof;
mod published;
mod statistics;
