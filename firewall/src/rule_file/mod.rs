//! Reads rule files and the lists that they name.

pub(crate) mod contents;
pub(crate) mod fallback;
pub(crate) mod files;
pub(crate) mod gzip;
pub(crate) mod input;
pub(crate) mod last_good;
pub(crate) mod load;
pub(crate) mod shrink;
