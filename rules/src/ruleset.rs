//! The rule set as the compiler and the evaluator see it: names resolved, every match a canonical
//! set of values, nothing invalid representable.
//!
//! This module owns the meaning of a rule. It knows neither the TOML it came from, but for the
//! place of each rule, nor the image it becomes.

use std::{fmt, num::NonZeroU32, sync::Arc};

use firewall_ebpf::abi::Reason;

use crate::{log_limit::LogLimit, ranges::RangeSet};

/// A rule set: settings and rules in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// What `[firewall]` and `[parser]` say.
    pub settings: Settings,
    /// The rules; the index of each is its [`RuleId`].
    pub rules: Vec<Rule>,
}

impl Ruleset {
    /// The rules with their identities, in order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0..).map(RuleId).zip(&self.rules)
    }
}

/// The settings of `[firewall]` and `[parser]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which interfaces to attach to.
    pub interfaces: Vec<InterfacePattern>,
    /// How to attach.
    pub mode: Mode,
    /// The verdict when no rule matches.
    pub policy: Policy,
    /// The verdicts over frames that cannot be judged by rules.
    pub parser: Parser,
}

/// What `[parser]` says: the verdict over each class of frames that rules cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parser {
    /// A header contradicts itself or the frame.
    pub malformed: Policy,
    /// The frame ends inside a header.
    pub truncated: Policy,
    /// There are more IPv6 extension headers than are followed.
    pub too_many_headers: Policy,
    /// There are more VLAN tags than are followed.
    pub too_many_tags: Policy,
    /// The frame is neither IPv4, IPv6 nor ARP, and no rule matches.
    pub unknown_ethertype: Policy,
}

impl Parser {
    /// What holds for a file that has `policy` and no `[parser]`.
    #[must_use]
    pub const fn with_policy(policy: Policy) -> Self {
        Self {
            malformed: Policy::Drop,
            truncated: Policy::Drop,
            too_many_headers: Policy::Drop,
            too_many_tags: Policy::Drop,
            unknown_ethertype: policy,
        }
    }
}

impl Settings {
    /// The verdict over packets that no rule decides, by what they are counted under.
    #[must_use]
    pub const fn verdict_for(&self, reason: Reason) -> Policy {
        match reason {
            Reason::Policy => self.policy,
            Reason::Malformed => self.parser.malformed,
            Reason::Truncated => self.parser.truncated,
            Reason::TooManyHeaders => self.parser.too_many_headers,
            Reason::TooManyTags => self.parser.too_many_tags,
            Reason::UnknownEthertype => self.parser.unknown_ethertype,
            Reason::Neighbour | Reason::NoImage => Policy::Pass,
            Reason::BadImage | Reason::Banned => Policy::Drop,
        }
    }

    /// The interface of packets that do not say theirs: the first that is no glob.
    #[must_use]
    pub fn usual_interface(&self) -> Option<&str> {
        let mut patterns = self.interfaces.iter();
        let named = patterns.find(|pattern| !pattern.is_glob());
        named.map(InterfacePattern::as_str)
    }
}

/// The attachment mode asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic hook, after the packet buffer is allocated.
    Generic,
    /// Native where the driver can, else generic, saying so.
    Auto,
}

/// The verdict for packets that no rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Hand the packet to the kernel.
    Pass,
    /// Drop the packet.
    Drop,
}

/// The position of a rule in its rule set, counted from 0; lower matches first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The unique name under which counters are kept.
    pub name: String,
    /// What happens to a packet that matches.
    pub verdict: Verdict,
    /// Which packets match.
    pub matches: Matches,
    /// How many of the packets that match are logged; `None` when none are.
    pub log: Option<LogLimit>,
    /// Where the rule stands in its file.
    pub place: Place,
}

/// The verdict of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand the packet to the kernel.
    Pass,
    /// Drop the packet.
    Drop,
    /// Count the packet and go on to the next rule.
    Count,
}

/// A place in the rule file, both numbers counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: NonZeroU32,
    /// The column.
    pub column: NonZeroU32,
}

/// The fields of one rule. A packet matches when every field that is given matches; `None` leaves
/// the field open. A field that is given never matches a packet that lacks the field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// The receiving interface.
    pub interface: Option<InterfaceMatch>,
    /// The address family.
    pub family: Option<Family>,
    /// The source address.
    pub src: Option<Arc<AddressSet>>,
    /// The destination address.
    pub dst: Option<Arc<AddressSet>>,
    /// The upper-layer protocol number.
    pub proto: Option<RangeSet<u8>>,
    /// The source port of TCP, UDP, UDP-Lite, SCTP and DCCP.
    pub sport: Option<RangeSet<u16>>,
    /// The destination port of TCP, UDP, UDP-Lite, SCTP and DCCP.
    pub dport: Option<RangeSet<u16>>,
    /// The values of the TCP flags byte (FIN = 1, ..., CWR = 128) that match.
    pub tcp_flags: Option<RangeSet<u8>>,
    /// The ICMP and ICMPv6 messages that match.
    pub icmp: Option<IcmpSet>,
    /// The EtherType behind all VLAN tags.
    pub ethertype: Option<RangeSet<u16>>,
    /// The outermost VLAN tag.
    pub vlan: Option<VlanSet>,
    /// The source MAC address as its number, at most [`MAX_MAC`].
    pub src_mac: Option<RangeSet<u64>>,
    /// The destination MAC address, like [`Self::src_mac`].
    pub dst_mac: Option<RangeSet<u64>>,
    /// The length of the IP packet in bytes, its header included; [`u16::MAX`] stands for every
    /// length from there on.
    pub length: Option<RangeSet<u16>>,
    /// The IPv4 time to live or the IPv6 hop limit.
    pub ttl: Option<RangeSet<u8>>,
    /// The code point for differentiated services, at most [`MAX_DSCP`].
    pub dscp: Option<RangeSet<u8>>,
    /// Whether the IP packet is a fragment.
    pub fragment: Option<bool>,
}

/// The largest MAC address.
pub const MAX_MAC: u64 = (1 << 48) - 1;

/// The largest VLAN identifier that fits a tag.
pub const MAX_VLAN: u16 = (1 << 12) - 1;

/// The largest code point for differentiated services.
pub const MAX_DSCP: u8 = (1 << 6) - 1;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A set of IPv4 and IPv6 addresses, each as its number in host byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressSet {
    /// The IPv4 members.
    pub v4: RangeSet<u32>,
    /// The IPv6 members.
    pub v6: RangeSet<u128>,
}

/// A set of ICMP messages, each as `type << 8 | code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IcmpSet {
    /// The ICMP messages, carried by IPv4.
    pub v4: RangeSet<u16>,
    /// The ICMPv6 messages, carried by IPv6.
    pub v6: RangeSet<u16>,
}

/// A set of outermost VLAN tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VlanSet {
    /// Whether frames without a tag match.
    pub untagged: bool,
    /// The identifiers that match, at most [`MAX_VLAN`].
    pub ids: RangeSet<u16>,
}

impl VlanSet {
    /// Whether nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.untagged && self.ids.is_empty()
    }
}

/// Which receiving interfaces match: any of the positives, none of the negatives; without
/// positives, all but the negatives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceMatch {
    /// The patterns of which one must fit.
    pub positives: Vec<InterfacePattern>,
    /// The patterns of which none may fit.
    pub negatives: Vec<InterfacePattern>,
}

impl InterfaceMatch {
    /// Whether the interface called `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let fits = |patterns: &[InterfacePattern]| patterns.iter().any(|p| p.matches(name));
        (self.positives.is_empty() || fits(&self.positives)) && !fits(&self.negatives)
    }
}

/// An interface name or a glob with `*` (any characters) and `?` (one character).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfacePattern(String);

impl InterfacePattern {
    /// The longest interface name that the kernel takes, in bytes (`IFNAMSIZ - 1`,
    /// `include/uapi/linux/if.h`).
    pub const MAX_NAME_LEN: usize = 15;

    /// Reads a pattern; `None` when it is empty, longer than [`Self::MAX_NAME_LEN`] bytes, `.`,
    /// `..`, or holds `/`, `:` or white space, which no interface name can
    /// (`dev_valid_name`, `net/core/dev.c`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty()
            && text.len() <= Self::MAX_NAME_LEN
            && text != "."
            && text != ".."
            && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        valid.then(|| Self(text.to_owned()))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern can fit more than one name.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Whether the pattern fits `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        glob(self.0.as_bytes(), name.as_bytes())
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', tail)), Some((_, name_tail))) => glob(tail, name) || glob(pattern, name_tail),
        (Some((b'*', tail)), None) => glob(tail, name),
        (Some((b'?', tail)), Some((_, name_tail))) => glob(tail, name_tail),
        (Some((want, tail)), Some((have, name_tail))) => want == have && glob(tail, name_tail),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_as_in_a_shell() {
        let fits =
            |pattern: &str, name: &str| InterfacePattern::parse(pattern).unwrap().matches(name);
        assert!(fits("eth0", "eth0"));
        assert!(!fits("eth0", "eth01"));
        assert!(fits("eth*", "eth"));
        assert!(fits("eth*", "eth12"));
        assert!(!fits("eth?", "eth"));
        assert!(fits("*0", "wlan0"));
        assert!(fits("e*1*", "enp1s0"));
        assert!(!fits("e*2", "enp1s0"));
    }

    #[test]
    fn names_that_the_kernel_refuses_are_no_patterns() {
        for text in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-letters!"] {
            assert_eq!(InterfacePattern::parse(text), None, "{text}");
        }
    }
}
