//! What the user sees of `firewall diff` and of the analysis in `firewall check`, without root.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

mod checking;
mod diffing;
mod support;
