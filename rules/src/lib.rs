//! The rule language: TOML to a [`ruleset::Ruleset`], that to a table image, and the naive reference
//! evaluator that both are tested against.
//!
//! This crate does no I/O: files that a rule set names are handed to it, and it never sees the
//! kernel.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod canonical;
pub mod captures;
pub mod compiler;
pub mod diagnostics;
pub mod evaluator;
pub mod explanation;
pub mod hexadecimal;
pub mod lint;
pub mod lists;
pub mod log_limit;
pub mod names;
pub mod notation;
pub mod packet;
pub mod ranges;
mod resolve;
pub mod rule_test;
pub mod ruleset;
mod syntax;
#[cfg(feature = "testing")]
pub mod testing;
pub mod walker;

pub use resolve::{Loaded, MAX_RULE_NAME_LEN, load};
pub use syntax::FieldName;
