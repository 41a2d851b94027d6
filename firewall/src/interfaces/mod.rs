//! The network interfaces of the machine: their list, their selection, and those that cannot be
//! filtered.

pub(crate) mod link_events;
pub(crate) mod list;
pub(crate) mod namespace;
pub(crate) mod selection;
pub(crate) mod unattached;
