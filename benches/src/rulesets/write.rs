//! Rule sets and address lists in the languages of the filters that they are for, and in the formats
//! of published files.
//!
//! Each says the same as [`RuleSet::decide`](super::RuleSet::decide), as far as its filter can;
//! what it cannot, its documentation names.

pub mod capture;
pub mod classbench;
pub mod firewall;
pub mod ipset;
pub mod iptables;
pub mod list;
pub mod nftables;
