//! Rule sets: rules in order of precedence, and the fields of each.

use std::sync::Arc;

use super::{log_limit::LogLimit, place::Place, settings::Settings};
use crate::field::{AddressSet, Family, IcmpSet, InterfaceMatch, RangeSet, VlanSet};

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
    /// The source MAC address as its number, at most [`MAX_MAC`](crate::field::MAX_MAC).
    pub src_mac: Option<RangeSet<u64>>,
    /// The destination MAC address, like [`Self::src_mac`].
    pub dst_mac: Option<RangeSet<u64>>,
    /// The length of the IP packet in bytes, its header included; [`u16::MAX`] stands for every
    /// length from there on.
    pub length: Option<RangeSet<u16>>,
    /// The IPv4 time to live or the IPv6 hop limit.
    pub ttl: Option<RangeSet<u8>>,
    /// The code point for differentiated services, at most [`MAX_DSCP`](crate::field::MAX_DSCP).
    pub dscp: Option<RangeSet<u8>>,
    /// Whether the IP packet is a fragment.
    pub fragment: Option<bool>,
}
