//! Reads rule files and the lists that they name.

pub(crate) mod files;
pub(crate) mod load;
