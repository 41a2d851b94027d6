//! Lengths of IP packets.

use firewall_ebpf::field::Field;

use super::number::Number;

/// The length of an IP packet; the default depends on its headers.
pub(super) const LENGTH: Number = Number {
    what: "length",
    max: u16::MAX,
    largest: "65535 stands for every length from there on",
    names: &[],
    usual: 0,
    key: Field::Length,
};
