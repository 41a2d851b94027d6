//! One file or folder for each command: its options, and what it does with them.

mod args;
mod ban_input;
mod document;
mod orders;
mod output;
mod reports;

pub(crate) mod apply;
pub(crate) mod ban;
pub(crate) mod bans;
pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod counters;
pub(crate) mod detach;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod flows;
pub(crate) mod reload;
pub(crate) mod rollback;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod unban;
pub(crate) mod unload;
