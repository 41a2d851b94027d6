//! The reference evaluator: defines the meaning of a rule set by a plain scan over its rules.
//!
//! This module defines the correct verdict. Every other path from a packet to a verdict is tested
//! against it, so it must not know images, the walker or the packet parser, and it always prefers
//! plain code to fast code.

mod decode;
mod evaluate;
pub mod flows;
mod mismatch;
mod outcome;
#[cfg(test)]
mod tests;

pub use self::{
    decode::{Fields, decode},
    evaluate::{classify, evaluate},
    mismatch::{matches, mismatch},
    outcome::{Evaluation, Outcome},
};
