//! The rule language: TOML to [`Ruleset`], [`Ruleset`] to table image, and the naive reference
//! evaluator that both are tested against.
//!
//! This crate does no I/O: files that a rule set names are handed to it, and it never sees the
//! kernel.

#![forbid(unsafe_code)]

pub mod compiler;
pub mod ranges;
pub mod ruleset;
