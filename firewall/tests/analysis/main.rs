//! What the user sees of commands that need no root: `firewall diff`, the analysis in `firewall check`, wrong
//! arguments, and names that others have written.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

mod arguments;
mod captured;
mod checking;
mod diffing;
mod documentation;
mod hidden;
mod states;
mod support;
