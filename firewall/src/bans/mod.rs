//! Bans: sources whose packets are dropped before any rule is evaluated, for a time or for good.
//!
//! They are stored in maps that outlive programs, rules and the daemon ([`firewall_ebpf::bans`] has
//! the layout). Only the daemon writes them ([`table`]), on requests over the control socket
//! ([`service`]); any process that can open the pins reads them ([`listing`]). The program itself
//! compares the end of a ban with the clock, so a ban ends in time even without the daemon.

pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod line;
pub(crate) mod prefilter;
pub(crate) mod prefix;
pub(crate) mod reasons;
pub(crate) mod service;
pub(crate) mod table;
pub(crate) mod term;
