//! EtherTypes: their names and numbers.

use firewall_ebpf::parse::ethertype;

use super::table::{name, number};

/// EtherTypes (IEEE 802 numbers registry); the first name of a number is the one to print.
const ETHERTYPES: &[(&str, u16)] = &[
    ("ipv4", ethertype::IPV4),
    ("arp", ethertype::ARP),
    ("wol", 0x0842),
    ("rarp", 0x8035),
    ("ipv6", ethertype::IPV6),
    ("flow-control", 0x8808),
    ("lacp", 0x8809),
    ("slow", 0x8809),
    ("mpls", 0x8847),
    ("mpls-multicast", 0x8848),
    ("pppoe-discovery", 0x8863),
    ("pppoe", 0x8864),
    ("eapol", 0x888e),
    ("profinet", 0x8892),
    ("ethercat", 0x88a4),
    ("lldp", 0x88cc),
    ("macsec", 0x88e5),
    ("ptp", 0x88f7),
    ("cfm", 0x8902),
    ("fcoe", 0x8906),
    ("roce", 0x8915),
];

/// The number of the EtherType called `name`.
#[must_use]
pub fn ethertype_number(name: &str) -> Option<u16> {
    number(ETHERTYPES, name)
}

/// The name of the EtherType with this number.
#[must_use]
pub fn ethertype_name(number: u16) -> Option<&'static str> {
    name(ETHERTYPES, number)
}

/// The names of all EtherTypes that have one.
pub fn ethertypes() -> impl Iterator<Item = &'static str> + Clone {
    ETHERTYPES.iter().map(|(name, _)| *name)
}
