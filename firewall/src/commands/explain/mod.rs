//! `firewall explain`: what becomes of a packet, and why.

mod command;
mod error;
mod live;
mod packets;
mod report;

pub(crate) use crate::commands::explain::command::{ExplainArgs, run};
