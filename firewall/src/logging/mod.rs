//! Output to stderr or the journal, as text or JSON.

pub(crate) mod background;
pub(crate) mod colors;
pub(crate) mod diagnostics;
pub(crate) mod lines;
pub(crate) mod output;
pub(crate) mod progress;
