//! `firewall explain`: what becomes of a packet, and why.

mod asked;
mod brief;
mod capture;
mod command;
mod error;
mod explained;
mod explainer;
mod flows;
mod live;
mod packets;
mod report;
mod summary;

pub(crate) use crate::commands::explain::command::{ExplainArgs, run};
