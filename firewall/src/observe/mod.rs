//! What is in force and what it has counted, read from the pins alone, whether or not a daemon runs.
//!
//! Nothing here prints: commands, and programs that use this crate as a library, choose the form.

pub(crate) mod bans;
pub(crate) mod counter_view;
pub(crate) mod counters;
pub(crate) mod flows;
pub(crate) mod rules;
pub(crate) mod status;
