//! Diagnostics: what is wrong with a rule file, as values.
//!
//! This module owns what a diagnostic says and where it points. How it looks is the concern of
//! [`render()`]; what is wrong is the concern of whoever reports it.

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
