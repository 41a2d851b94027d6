//! Rule sets and address lists in the languages of the filters that they are for.
//!
//! Each says the same as [`RuleSet::decide`](super::RuleSet::decide), as far as its filter can;
//! what it cannot, its documentation names.

pub mod firewall;
pub mod ipset;
pub mod iptables;
pub mod list;
pub mod nftables;
