//! Bans: sources whose packets are dropped before any rule is asked, for a time or for good.
//!
//! They lie in maps that outlive programs, rules and the daemon ([`firewall_ebpf::bans`] says how).
//! The daemon alone writes them ([`table`]), asked over the control socket ([`service`]); everybody
//! who may read the pins reads them ([`listing`]). The program itself compares the end of a ban with
//! the clock, so that it is over in time whatever became of the daemon.

pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod prefilter;
pub(crate) mod prefix;
pub(crate) mod reasons;
pub(crate) mod service;
pub(crate) mod table;
pub(crate) mod term;
