//! Reads the source of every package of the workspace and extracts who imports what, so that a test
//! can hold it to the architecture.
//!
//! It reads syntax alone: what a macro generates is taken to be defined where the macro is called.

#![forbid(unsafe_code)]

pub mod graph;
pub mod imports;
pub mod package;
pub mod report;
pub mod rule;
mod scope;
mod syntax;
