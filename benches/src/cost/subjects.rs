//! The subjects, one a file.

pub(super) mod baseline;
pub(super) mod firewall;
pub(super) mod iptables;
pub(super) mod nftables;
pub(super) mod xdp_filter;
