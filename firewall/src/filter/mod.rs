//! What this process holds in the kernel, and the transactions that change it.

pub(crate) mod attachments;
pub(crate) mod error;
pub(crate) mod plan;
pub(crate) mod takeover;
pub(crate) mod transaction;
pub(crate) mod unload;
