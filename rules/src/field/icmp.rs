//! ICMP messages: sets of them, and the names and numbers of their types.

use super::{
    family::Family,
    ranges::RangeSet,
    table::{name, number},
};

/// A set of ICMP messages, each as `type << 8 | code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IcmpSet {
    /// The ICMP messages, carried by IPv4.
    pub v4: RangeSet<u16>,
    /// The ICMPv6 messages, carried by IPv6.
    pub v6: RangeSet<u16>,
}

/// ICMP types (IANA "ICMP Type Numbers").
const ICMP_TYPES: &[(&str, u8)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
];

/// ICMPv6 types (IANA "ICMPv6 type Numbers").
const ICMPV6_TYPES: &[(&str, u8)] = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("router-solicitation", 133),
    ("router-advertisement", 134),
    ("neighbor-solicitation", 135),
    ("neighbor-solicitation", 135),
    ("neighbor-advertisement", 136),
    ("neighbor-advertisement", 136),
    ("redirect", 137),
    ("mld2-listener-report", 143),
];

/// The number of the ICMP (for IPv4) or ICMPv6 (for IPv6) type called `name`.
#[must_use]
pub fn icmp_type_number(family: Family, name: &str) -> Option<u8> {
    number(icmp_table(family), name)
}

/// The name of the ICMP (for IPv4) or ICMPv6 (for IPv6) type with this number.
#[must_use]
pub fn icmp_type_name(family: Family, number: u8) -> Option<&'static str> {
    name(icmp_table(family), number)
}

/// The names of all ICMP (for IPv4) or ICMPv6 (for IPv6) types that have one.
pub fn icmp_types(family: Family) -> impl Iterator<Item = &'static str> + Clone {
    icmp_table(family).iter().map(|(name, _)| *name)
}

fn icmp_table(family: Family) -> &'static [(&'static str, u8)] {
    match family {
        Family::Ipv4 => ICMP_TYPES,
        Family::Ipv6 => ICMPV6_TYPES,
    }
}
