//! Names of protocols, ICMP messages and TCP flags, and the search for the name that was meant.
//!
//! This module owns the names and their numbers. It knows nothing of rules.

use firewall_ebpf::headers::protocol;

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

fn number(table: &[(&str, u8)], name: &str) -> Option<u8> {
    let (_, number) = table.iter().find(|(known, _)| *known == name)?;
    Some(*number)
}

fn name(table: &[(&'static str, u8)], number: u8) -> Option<&'static str> {
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
        assert_eq!(tcp_flag("fin"), Some(1));
        assert_eq!(tcp_flag("cwr"), Some(128));
        assert_eq!(tcp_flag("ns"), None);
    }
}
