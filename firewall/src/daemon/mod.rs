//! The daemon: brings rule files into force, one after the other, and unloads at the end.
//!
//! [`run`] serves signals, timers and requests; [`apply`] and [`rollback`] choose what comes into
//! force; [`switch`] is the one way into force for all of them; [`decisions`] decides without I/O.

mod apply;
pub(crate) mod background;
mod current;
mod decisions;
pub(crate) mod findings;
mod follow;
mod guard;
pub(crate) mod keeping;
mod outcome;
pub(crate) mod ownership;
pub(crate) mod privileges;
mod reports;
pub(crate) mod request;
mod rollback;
pub(crate) mod run;
mod sd_notify;
mod state;
mod sweeping;
pub(crate) mod switch;
mod trigger;
