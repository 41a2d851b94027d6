//! Bans: sources whose packets are dropped before any rule is asked, for a time or for good.
//!
//! They lie in maps that outlive programs, rules and the daemon ([`firewall_ebpf::bans`] says how).
//! The daemon alone writes them ([`register`]), asked over the control socket ([`desk`]); everybody
//! who may read the pins reads them ([`listing`]). The program itself compares the end of a ban with
//! the clock, so that it is over in time whatever became of the daemon.

pub(crate) mod board;
pub(crate) mod desk;
pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod prefix;
pub(crate) mod reasons;
pub(crate) mod register;
pub(crate) mod term;
