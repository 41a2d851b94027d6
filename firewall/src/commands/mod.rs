//! One file for each command of the command line: it reads or orders, prints and returns.

pub(crate) mod apply;
pub(crate) mod ban;
pub(crate) mod bans;
pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod counters;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod orders;
pub(crate) mod reach;
pub(crate) mod status;
