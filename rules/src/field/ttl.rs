//! The remaining hops of a packet.

use firewall_ebpf::field::Field;

use super::number::Number;

/// The IPv4 time to live or the IPv6 hop limit.
pub const TTL: Number = Number {
    what: "time to live",
    max: 255,
    largest: "the largest time to live is 255",
    names: &[],
    usual: 64,
    key: Field::Ttl,
};
