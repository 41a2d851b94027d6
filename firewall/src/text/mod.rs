//! Numbers, tables and errors in the form that people read.

pub(crate) mod causes;
pub(crate) mod format;
