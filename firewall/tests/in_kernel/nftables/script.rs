//! Rule sets as scripts for nft, written from what each field means on the wire.
//!
//! A rule becomes one of nft for each kind of packet that it can match, which share a
//! counter with the number of the rule in its name. nft refuses conditions that contradict each
//! other, so that all those on EtherType or protocol become one.

use std::fmt::{self, Display, Write as _};

use firewall_ebpf::abi::Reason;
use rules::{
    field::{Family, RangeSet, Value},
    model::{Matches, RuleAction, RuleId, Ruleset, Verdict},
};

/// The counter of all packets.
pub(super) const TOTAL: &str = "total";

/// The counter of the packets that pass.
pub(super) const PASSED: &str = "passed";

/// The name of a rule's counter.
pub(super) fn rule_counter(rule: RuleId) -> String {
    format!("rule{}", rule.0)
}

/// The name of a reason's counter; the bare name could be a word of nft.
pub(super) fn reason_counter(reason: Reason) -> String {
    format!("by_{}", reason.name())
}

/// The reasons for which no rule decides over a frame that can be read.
pub(super) const REASONS: [Reason; 3] =
    [Reason::Policy, Reason::Neighbor, Reason::UnknownEthertype];

/// The script of a rule set for the packets that come in on a device without a tag.
///
/// Besides the rules there are counters for [`TOTAL`], [`PASSED`] and the [`REASONS`]. Rules that name an interface or a tag are left out.
pub(super) fn script(ruleset: &Ruleset, device: &str) -> String {
    let mut rules = String::new();
    for (id, rule) in ruleset.iter() {
        let verdict = match rule.action {
            RuleAction::Pass => "accept",
            RuleAction::Drop => "drop",
            RuleAction::Count => "",
        };
        for kind in [Kind::V4, Kind::V6, Kind::Other] {
            if let Some(conditions) = conditions(&rule.matches, kind) {
                let counter = rule_counter(id);
                let _ = writeln!(rules, "{conditions} counter name \"{counter}\" {verdict}");
            }
        }
    }
    let names = ruleset.iter().map(|(id, _)| rule_counter(id));
    let counters: String = names
        .chain(REASONS.map(reason_counter))
        .chain([TOTAL, PASSED].map(str::to_owned))
        .map(|name| format!("counter {name} {{ }}\n"))
        .collect();
    let policy = verdict(ruleset.settings.policy);
    let unknown = verdict(ruleset.settings.parser.unknown_ethertype);
    // What the first chain accepts goes on to the second.
    format!(
        "table netdev oracle {{
{counters}chain rules {{
type filter hook ingress device \"{device}\" priority 0; policy accept;
counter name \"{TOTAL}\"
{rules}{NEIGHBORS}ether type {{ ip, ip6 }} counter name \"by_policy\" {policy}
counter name \"by_unknown_ethertype\" {unknown}
}}
chain passed {{
type filter hook ingress device \"{device}\" priority 1; policy accept;
counter name \"{PASSED}\"
}}
}}
"
    )
}

const fn verdict(policy: Verdict) -> &'static str {
    match policy {
        Verdict::Pass => "accept",
        Verdict::Drop => "drop",
    }
}

/// What a link cannot work without.
const NEIGHBORS: &str = "ether type arp counter name \"by_neighbor\" accept
ether type ip6 meta l4proto 58 ip6 hoplimit 255 exthdr frag missing icmpv6 type 133-137 \
counter name \"by_neighbor\" accept
ether type ip6 meta l4proto 58 ip6 hoplimit 1 exthdr frag missing icmpv6 type 130 \
ip6 saddr fe80::/10 counter name \"by_neighbor\" accept
ether type ip ip protocol igmp ip ttl 1 ip frag-off & 0x3fff == 0 ip daddr 224.0.0.0/4 igmp type 0x11 \
counter name \"by_neighbor\" accept
";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
    Other,
}

/// What a packet of the kind must be to match; `None` when none can.
fn conditions(matches: &Matches, kind: Kind) -> Option<String> {
    let Matches {
        interface,
        family,
        src,
        dst,
        proto,
        sport,
        dport,
        tcp_flags,
        icmp,
        ethertype: _,
        vlan,
        src_mac,
        dst_mac,
        length,
        ttl,
        dscp,
        ip_option,
        fragment,
        // Fields of packets out, which are not compared.
        in_interface: _,
        forwarded: _,
        mark: _,
        // No packet of the comparison is of a flow.
        state: _,
    } = matches;
    // nft knows four of the options, and each of them alone.
    if interface.is_some() || vlan.is_some() || ip_option.is_some() {
        return None;
    }
    let mut text = Conditions(String::new());
    text.set("ether type", &Some(ethertypes(matches, kind)), decimal)?;
    text.set("ether saddr", src_mac, mac)?;
    text.set("ether daddr", dst_mac, mac)?;
    let of_ip = [
        family.is_some(),
        src.is_some(),
        dst.is_some(),
        proto.is_some(),
        sport.is_some(),
        dport.is_some(),
        tcp_flags.is_some(),
        icmp.is_some(),
        length.is_some(),
        ttl.is_some(),
        dscp.is_some(),
        fragment.is_some(),
    ];
    match kind {
        Kind::Other => {
            if of_ip.contains(&true) {
                return None;
            }
        }
        Kind::V4 => {
            if *family == Some(Family::Ipv6) {
                return None;
            }
            let address = |value| std::net::Ipv4Addr::from(value).to_string();
            let part = |set: &Option<_>| set.as_ref().map(v4);
            text.set("ip saddr", &part(src), address)?;
            text.set("ip daddr", &part(dst), address)?;
            text.set("ip length", length, decimal)?;
            text.set("ip ttl", ttl, decimal)?;
            text.set("ip dscp", dscp, decimal)?;
            text.push(match fragment {
                Some(true) => "ip frag-off & 0x3fff != 0",
                Some(false) => "ip frag-off & 0x3fff == 0",
                None => "",
            });
        }
        Kind::V6 => {
            if *family == Some(Family::Ipv4) {
                return None;
            }
            let address = |value| std::net::Ipv6Addr::from(value).to_string();
            let part = |set: &Option<_>| set.as_ref().map(v6);
            text.set("ip6 saddr", &part(src), address)?;
            text.set("ip6 daddr", &part(dst), address)?;
            // nft has the length without that of the header.
            let payload = length.as_ref().map(|set| {
                let ranges = set.ranges().iter().filter(|(_, last)| *last >= 40);
                let less = |&(first, last): &(u16, u16)| (first.saturating_sub(40), last - 40);
                RangeSet::from_ranges(ranges.map(less).collect())
            });
            text.set("ip6 length", &payload, decimal)?;
            text.set("ip6 hoplimit", ttl, decimal)?;
            text.set("ip6 dscp", dscp, decimal)?;
            text.push(match fragment {
                Some(true) => "exthdr frag exists",
                Some(false) => "exthdr frag missing",
                None => "",
            });
        }
    }
    text.set("meta l4proto", &protocols(matches, kind), decimal)?;
    text.set("th sport", sport, decimal)?;
    text.set("th dport", dport, decimal)?;
    text.set("tcp flags ==", tcp_flags, decimal)?;
    if let Some(icmp) = icmp {
        match kind {
            Kind::V4 => text.set("icmp type", &Some(types(&icmp.v4)), decimal)?,
            Kind::V6 => text.set("icmpv6 type", &Some(types(&icmp.v6)), decimal)?,
            Kind::Other => return None,
        }
    }
    Some(text.0)
}

fn v4(set: &std::sync::Arc<rules::field::AddressSet>) -> RangeSet<u32> {
    set.v4.clone()
}

fn v6(set: &std::sync::Arc<rules::field::AddressSet>) -> RangeSet<u128> {
    set.v6.clone()
}

/// The EtherTypes of the kind that match.
fn ethertypes(matches: &Matches, kind: Kind) -> RangeSet<u16> {
    let all = match kind {
        Kind::V4 => RangeSet::from_ranges(vec![(0x0800, 0x0800)]),
        Kind::V6 => RangeSet::from_ranges(vec![(0x86dd, 0x86dd)]),
        Kind::Other => RangeSet::from_ranges(vec![(0x0800, 0x0800), (0x86dd, 0x86dd)]).complement(),
    };
    match &matches.ethertype {
        Some(named) => named.intersection(&all),
        None => all,
    }
}

/// The protocols that have all the fields of the upper-layer header that are named; `None` when any
/// protocol will do.
fn protocols(matches: &Matches, kind: Kind) -> Option<RangeSet<u8>> {
    let icmp = if kind == Kind::V4 { 1 } else { 58 };
    let of = |is_named: bool, protocols: &[u8]| {
        let ranges = protocols.iter().map(|number| (*number, *number)).collect();
        is_named.then(|| RangeSet::from_ranges(ranges))
    };
    let ports = matches.sport.is_some() || matches.dport.is_some();
    let all = [
        matches.proto.clone(),
        of(ports, &[6, 17, 33, 132, 136]),
        of(matches.tcp_flags.is_some(), &[6]),
        of(matches.icmp.is_some(), &[icmp]),
    ];
    let named = all.into_iter().flatten();
    named.reduce(|one, other| one.intersection(&other))
}

/// The types of messages that have any code.
fn types(messages: &RangeSet<u16>) -> RangeSet<u16> {
    let ranges = messages.ranges().iter();
    RangeSet::from_ranges(
        ranges
            .map(|(first, last)| (first >> 8, last >> 8))
            .collect(),
    )
}

/// Conditions behind each other.
struct Conditions(String);

impl Conditions {
    fn push(&mut self, condition: &str) {
        if !condition.is_empty() {
            self.0.push_str(condition);
            self.0.push(' ');
        }
    }

    /// Adds that a value is in a set, if there is one; `None` when nothing is in it.
    fn set<T: Value>(
        &mut self,
        key: &str,
        set: &Option<RangeSet<T>>,
        value: impl Fn(T) -> String,
    ) -> Option<()> {
        let Some(set) = set else {
            return Some(());
        };
        if set.is_empty() {
            return None;
        }
        let ranges: Vec<_> = set
            .ranges()
            .iter()
            .map(|&(first, last)| {
                if first == last {
                    value(first)
                } else {
                    format!("{}-{}", value(first), value(last))
                }
            })
            .collect();
        // A single element needs no set, of which nft would look for the type.
        match ranges.as_slice() {
            [one] => self.push(&format!("{key} {one}")),
            several => self.push(&format!("{key} {{ {} }}", several.join(", "))),
        }
        Some(())
    }
}

fn decimal<T: Display>(value: T) -> String {
    value.to_string()
}

fn mac(value: u64) -> String {
    let [_, _, bytes @ ..] = value.to_be_bytes();
    struct Colons([u8; 6]);
    impl Display for Colons {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let [a, b, c, d, e, g] = self.0;
            write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
        }
    }
    Colons(bytes).to_string()
}
