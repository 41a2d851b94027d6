//! Names of protocols, EtherTypes, ICMP messages, TCP flags and code points, and the search for the name that was meant.
//!
//! This module owns the names and their numbers. It knows nothing of rules.

use firewall_ebpf::headers::{ethertype, protocol};

use crate::ruleset::Family;

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
    ("neighbour-solicitation", 135),
    ("neighbor-advertisement", 136),
    ("neighbour-advertisement", 136),
    ("redirect", 137),
    ("mld2-listener-report", 143),
];

/// The TCP flags by bit, lowest first (RFC 9293, section 3.1).
const TCP_FLAGS: &[&str] = &["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

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

/// Code points for differentiated services (RFC 2474, 2597, 3246, 5865, 8622).
const DSCPS: &[(&str, u8)] = &[
    ("cs0", 0),
    ("be", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("voice-admit", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// Words of other firewalls, and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("accept", "pass"),
    ("allow", "pass"),
    ("permit", "pass"),
    ("block", "drop"),
    ("deny", "drop"),
    ("reject", "drop"),
    ("saddr", "src"),
    ("source", "src"),
    ("from", "src"),
    ("daddr", "dst"),
    ("destination", "dst"),
    ("to", "dst"),
    ("protocol", "proto"),
    ("ether_type", "ethertype"),
    ("vlan_id", "vlan"),
    ("hoplimit", "ttl"),
    ("hop_limit", "ttl"),
    ("frag", "fragment"),
    ("smac", "src_mac"),
    ("dmac", "dst_mac"),
    ("mac", "src_mac"),
    ("port", "dport"),
    ("iif", "interface"),
    ("iifname", "interface"),
    ("verdict", "action"),
    ("skb", "generic"),
    ("driver", "native"),
    ("inet6", "ipv6"),
    ("inet", "ipv4"),
];

/// The name of the family in prose.
#[must_use]
pub const fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

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

/// The code point for differentiated services called `name`.
#[must_use]
pub fn dscp_number(name: &str) -> Option<u8> {
    number(DSCPS, name)
}

/// The names of all code points that have one.
pub fn dscps() -> impl Iterator<Item = &'static str> + Clone {
    DSCPS.iter().map(|(name, _)| *name)
}

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

/// The bit of the TCP flag called `name`.
#[must_use]
pub fn tcp_flag(name: &str) -> Option<u8> {
    let bit = TCP_FLAGS.iter().position(|flag| *flag == name)?;
    Some(1 << bit)
}

/// The names of the TCP flags, the lowest bit first.
pub fn tcp_flags() -> impl Iterator<Item = &'static str> + Clone {
    TCP_FLAGS.iter().copied()
}

/// The candidate that was probably meant by `word`: what other firewalls' word for it stands for,
/// or the one with the fewest typing errors, if they are few for the length of the word.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let meant = SYNONYMS
        .iter()
        .find_map(|(synonym, meant)| (*synonym == word).then_some(*meant));
    let length = word.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            if meant == Some(candidate) {
                return Some((0, candidate));
            }
            // The lengths alone exclude most candidates.
            if length.abs_diff(candidate.chars().count()) > allowed {
                return None;
            }
            let distance = edit_distance(&word, &candidate.to_lowercase());
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn icmp_table(family: Family) -> &'static [(&'static str, u8)] {
    match family {
        Family::Ipv4 => ICMP_TYPES,
        Family::Ipv6 => ICMPV6_TYPES,
    }
}

fn number<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let (_, number) = table.iter().find(|(known, _)| *known == name)?;
    Some(*number)
}

fn name<T: Copy + PartialEq>(table: &[(&'static str, T)], number: T) -> Option<&'static str> {
    let (name, _) = table.iter().find(|(_, known)| *known == number)?;
    Some(name)
}

/// The least number of insertions, deletions, replacements and swaps of neighbours that turn `a`
/// into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Rows of the table of distances between prefixes: of `a` less its last character, of `a`.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        // All rows have `b.len() + 1` cells, and `j` is below `b.len()`.
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_typing_errors() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("action", "action", 0),
            ("acton", "action", 1),
            ("acttion", "action", 1),
            ("axtion", "action", 1),
            ("actoin", "action", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_name_is_near_or_a_synonym() {
        let keys = ["action", "name", "src", "dst"];
        assert_eq!(nearest("acton", keys), Some("action"));
        assert_eq!(nearest("ACTION", keys), Some("action"));
        assert_eq!(nearest("daddr", keys), Some("dst"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("accept", keys), None);
    }

    #[test]
    fn names_and_numbers_agree() {
        for number in 0..=u8::MAX {
            if let Some(name) = protocol_name(number) {
                assert_eq!(protocol_number(name), Some(number));
            }
            for family in [Family::Ipv4, Family::Ipv6] {
                if let Some(name) = icmp_type_name(family, number) {
                    assert_eq!(icmp_type_number(family, name), Some(number));
                }
            }
        }
        for number in 0..=u16::MAX {
            if let Some(name) = ethertype_name(number) {
                assert_eq!(ethertype_number(name), Some(number));
            }
        }
        // RFC 2597: class and drop precedence.
        for (name, class, precedence) in [("af11", 1, 1), ("af23", 2, 3), ("af42", 4, 2)] {
            assert_eq!(dscp_number(name), Some(class << 3 | precedence << 1));
        }
        for (class, name) in (0..8).zip(["cs0", "cs1", "cs2", "cs3", "cs4", "cs5", "cs6", "cs7"]) {
            assert_eq!(dscp_number(name), Some(class << 3));
        }
        assert_eq!(dscp_number("ef"), Some(0b10_1110));
        assert_eq!(tcp_flag("fin"), Some(1));
        assert_eq!(tcp_flag("cwr"), Some(128));
        assert_eq!(tcp_flag("ns"), None);
    }
}
