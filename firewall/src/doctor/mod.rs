//! Diagnoses interfaces: why one cannot be filtered, or not at full speed, and how to fix it. Nothing
//! is attached or changed.

mod examined;
pub(crate) mod facts;
pub(crate) mod finding;
pub(crate) mod findings;
pub(crate) mod generic_netlink;
pub(crate) mod needs;
pub(crate) mod uplinks;

pub(crate) use crate::doctor::examined::Examined;
