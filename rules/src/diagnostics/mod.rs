//! Diagnostics: what is wrong with a rule file, as values.
//!
//! This module owns the contents of a diagnostic and the places to which it points. [`render()`]
//! determines its appearance; the code that reports it decides what is wrong.

mod code;
mod diagnostic;
mod render;
mod report;
mod source;
mod suggest;

pub use self::{
    code::{Code, Severity},
    diagnostic::{Diagnostic, Label, Note},
    render::render,
    source::{Source, Span},
};
pub(crate) use self::{report::Report, suggest::suggest};
