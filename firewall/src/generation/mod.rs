//! A generation of rules: its metadata, counter slots, confirmation, and what is pinned of it.

pub(crate) mod classifier;
pub(crate) mod confirmation;
pub(crate) mod deadline;
pub(crate) mod flows;
pub(crate) mod in_force;
pub(crate) mod listing;
pub(crate) mod loadable;
pub(crate) mod metadata;
pub(crate) mod pinned;
pub(crate) mod slots;
pub(crate) mod succession;
