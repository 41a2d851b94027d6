//! The objects of this process in the kernel, and the transactions that change them.

pub(crate) mod attachments;
pub(crate) mod elsewhere;
pub(crate) mod error;
mod first_fill;
mod flows;
pub(crate) mod plan;
pub(crate) mod takeover;
pub(crate) mod transaction;
pub(crate) mod unload;
