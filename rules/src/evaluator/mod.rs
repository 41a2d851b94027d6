//! The naive reference evaluator: the meaning of a rule set, spelled out as a scan over its rules.
//!
//! This module owns what the right verdict is. Every other path from a packet to a verdict is
//! tested against it, so that it must know nothing of images, walkers and the packet parser, and
//! prefers the plain way over the fast one throughout.

mod decode;
mod evaluate;
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
