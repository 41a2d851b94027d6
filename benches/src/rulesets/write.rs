//! Writes rule sets and address lists in the languages of packet filters, and in the formats of
//! published files.
//!
//! Each decides like [`RuleSet::decide`](super::RuleSet::decide), as far as its filter can; its
//! documentation names the exceptions.

pub mod capture;
pub mod classbench;
pub mod firewall;
pub mod ipset;
pub mod iptables;
pub mod list;
pub mod nftables;
