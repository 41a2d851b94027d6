//! Reads the source of every package of the workspace and extracts the imports, so that a test can
//! check them against the architecture.
//!
//! It reads only syntax: items that a macro generates count as defined where the macro is called.

#![forbid(unsafe_code)]

pub mod graph;
pub mod imports;
pub mod package;
pub mod report;
pub mod rule;
mod scope;
mod syntax;
