//! The proof of verdicts: realistic rule sets and blocklists are written as rule files, loaded and
//! compiled; then the image, walked as the XDP program does, the reference evaluator, and a scan
//! over the original rules must agree on every packet.
//!
//! [`published`] uses the files in `../shared/data`, or in the folder that `FIREWALL_DATA` names,
//! or generated files; with `FIREWALL_LONG=1`, the reference evaluator classifies more of the
//! packets.

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
