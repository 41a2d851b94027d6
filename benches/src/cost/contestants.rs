//! The contestants, one a file.

pub(super) mod firewall;
pub(super) mod floor;
pub(super) mod iptables;
pub(super) mod nftables;
pub(super) mod xdp_filter;
