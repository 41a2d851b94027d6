//! The rule language: loads TOML into a [`model::Ruleset`], compiles it to a table image, and
//! contains the plain reference evaluator against which both are tested.
//!
//! This crate does no I/O: the contents of the files that a rule set names are passed to it, and it
//! never sees the kernel.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod captures;
pub mod compiler;
mod context;
pub mod diagnostics;
pub mod evaluator;
pub mod explanation;
pub mod field;
pub mod language;
pub mod lint;
pub mod model;
pub mod notation;
pub mod packet;
pub mod text;
pub mod walker;

pub use self::{
    context::Context,
    field::FieldName,
    language::{Loaded, MAX_RULE_NAME_LEN, load},
};
