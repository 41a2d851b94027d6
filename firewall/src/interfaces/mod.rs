//! The network interfaces of the machine: which there are, which are selected, which cannot be filtered.

pub(crate) mod link_events;
pub(crate) mod list;
pub(crate) mod selection;
pub(crate) mod unattached;
