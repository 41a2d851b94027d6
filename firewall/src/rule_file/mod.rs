//! Reads rule files and the lists that they name.

pub(crate) mod files;
mod gzip;
pub(crate) mod load;
