//! Protocols: their names and numbers.

use firewall_ebpf::parse::protocol;

use super::table::{name, number};

/// Protocols by number (IANA "Assigned Internet Protocol Numbers"); the first name of a number is
/// the one to print.
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", protocol::ICMP),
    ("igmp", 2),
    ("ipip", 4),
    ("ipencap", 4),
    ("tcp", protocol::TCP),
    ("egp", 8),
    ("igp", 9),
    ("udp", protocol::UDP),
    ("dccp", protocol::DCCP),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", protocol::AUTHENTICATION),
    ("icmpv6", protocol::ICMPV6),
    ("icmp6", protocol::ICMPV6),
    ("ipv6-icmp", protocol::ICMPV6),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", protocol::SCTP),
    ("udplite", protocol::UDPLITE),
];

/// The number of the protocol called `name`.
#[must_use]
pub fn protocol_number(name: &str) -> Option<u8> {
    number(PROTOCOLS, name)
}

/// The name of the protocol with this number.
#[must_use]
pub fn protocol_name(number: u8) -> Option<&'static str> {
    name(PROTOCOLS, number)
}

/// The names of all protocols that have one.
pub fn protocols() -> impl Iterator<Item = &'static str> + Clone {
    PROTOCOLS.iter().map(|(name, _)| *name)
}
