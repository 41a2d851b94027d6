//! The search for a packet that passes: the usual one, and those that the rules are made for.

use std::net::IpAddr;

use firewall_ebpf::{abi::Reason, parse::protocol};

use super::packets::{self, ACK, EPHEMERAL, SYN, SYN_ACK};
use crate::{
    context::Context,
    evaluator::{Fields, Outcome, classify, matches},
    field::{
        AddressSet, Family, InterfaceMatch, InterfacePattern, LOOPBACK, RangeSet, State, Value,
    },
    model::{Direction, Matches, Rule, RuleAction, RuleId, Ruleset, Settings, Verdict},
};

/// The members of a set of addresses that are tried.
const TRIED: usize = 3;

/// A packet and the interface on which it arrives.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) fields: Fields,
    pub(super) interface: String,
}

/// The work is done, and the question open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaveUp;

/// What became of a question for packets of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// One passes.
    Passes,
    /// None passes, because of a rule that is about them.
    DroppedOnPurpose,
    /// None passes, because nothing is said of them: this decides.
    Forgotten(Outcome),
}

/// A rule set that is asked for packets that pass.
pub(super) struct Passage<'a> {
    ruleset: &'a Ruleset,
    /// The direction of the packets.
    direction: Direction,
    /// Names of interfaces to which the rules are attached, the loopback interface left out.
    interfaces: Vec<String>,
    left: u64,
}

impl<'a> Passage<'a> {
    /// Asks about packets of a direction with at most this many comparisons of a packet with a rule.
    pub(super) fn new(ruleset: &'a Ruleset, direction: Direction, comparisons: u64) -> Self {
        let attached = &ruleset.settings.interfaces;
        let mut interfaces: Vec<String> = attached.iter().map(name_of).collect();
        interfaces.retain(|name| name != LOOPBACK && is_selected(&ruleset.settings, name));
        interfaces.dedup();
        Self {
            ruleset,
            direction,
            interfaces,
            left: comparisons,
        }
    }

    /// What is left of the comparisons.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    /// Whether the rules are attached to more than the loopback interface.
    pub(super) fn has_links(&self) -> bool {
        !self.interfaces.is_empty()
    }

    /// What becomes of a packet, and what decides.
    pub(super) fn decide(
        &mut self,
        fields: &Fields,
        interface: &str,
        state: State,
    ) -> Result<(Outcome, Verdict), GaveUp> {
        let context = match self.direction {
            Direction::In => Context::arriving(Some(interface)),
            Direction::Out => Context::sent(Some(interface)),
        };
        let context = context.in_state(state);
        let evaluation = classify(self.ruleset, fields, &context);
        let asked = match evaluation.outcome {
            Outcome::Rule(RuleId(id)) => u64::from(id) + 1,
            Outcome::Reason(_) => self.ruleset.rules.len() as u64 + 1,
        };
        self.left = self.left.checked_sub(asked).ok_or(GaveUp)?;
        Ok((evaluation.outcome, evaluation.verdict))
    }

    /// What becomes of packets of a state like this one, whatever their source, if it is one of the internet,
    /// and whatever else a rule may want of them beside protocol, ports, flags, message and fragment.
    ///
    /// A packet that passes only because a rule passes everything from somewhere is none that the
    /// machine could count on.
    pub(super) fn fate(&mut self, packet: &Fields, state: State) -> Result<Fate, GaveUp> {
        let mut decider = None;
        for interface in self.interfaces.clone() {
            for fields in sources(packet) {
                let (outcome, verdict) = self.decide(&fields, &interface, state)?;
                if verdict == Verdict::Pass {
                    return Ok(Fate::Passes);
                }
                decider.get_or_insert((outcome, fields, interface.clone()));
            }
        }
        for (id, rule) in self.passing() {
            for Arrival { fields, interface } in
                fitted(rule, packet, state, self.ruleset, &self.interfaces)
            {
                let (outcome, verdict) = self.decide(&fields, &interface, state)?;
                if verdict == Verdict::Drop || outcome != Outcome::Rule(id) {
                    continue;
                }
                let anything = self.decide(&packets::anything(&fields), &interface, state)?;
                if anything != (outcome, verdict) {
                    return Ok(Fate::Passes);
                }
            }
        }
        let Some((outcome, fields, interface)) = decider else {
            return Ok(Fate::Passes);
        };
        Ok(match outcome {
            Outcome::Reason(_) => Fate::Forgotten(outcome),
            Outcome::Rule(_) => {
                let other = self.decide(&packets::unneeded(&fields), &interface, state)?;
                if other == (outcome, Verdict::Drop) {
                    Fate::Forgotten(outcome)
                } else {
                    Fate::DroppedOnPurpose
                }
            }
        })
    }

    /// A packet of the family that a rule lets in, with the rule, for which `is_wanted`.
    pub(super) fn let_in(
        &mut self,
        family: Family,
        mut is_wanted: impl FnMut(&mut Self, &Rule, &Arrival) -> Result<bool, GaveUp>,
    ) -> Result<Option<RuleId>, GaveUp> {
        for (id, rule) in self.passing() {
            let state = own_state(&rule.matches);
            for packet in own_packets(&rule.matches, family) {
                for arrival in fitted(rule, &packet, state, self.ruleset, &self.interfaces) {
                    let decided = self.decide(&arrival.fields, &arrival.interface, state)?;
                    if decided == (Outcome::Rule(id), Verdict::Pass)
                        && is_wanted(self, rule, &arrival)?
                    {
                        return Ok(Some(id));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether packets of the family pass, apart from those that a link does not work without.
    pub(super) fn is_used(&mut self, family: Family) -> Result<bool, GaveUp> {
        let usual = packets::tcp(family, EPHEMERAL, EPHEMERAL, SYN);
        for interface in self.interfaces.clone() {
            let (outcome, verdict) = self.decide(&usual, &interface, State::New)?;
            if (outcome, verdict) == (Outcome::Reason(Reason::Policy), Verdict::Pass) {
                return Ok(true);
            }
        }
        Ok(self.let_in(family, |_, _, _| Ok(true))?.is_some())
    }

    /// The rules that pass packets.
    fn passing(&self) -> impl Iterator<Item = (RuleId, &'a Rule)> + use<'a> {
        let rules = self.ruleset.iter();
        let direction = self.direction;
        rules
            .filter(move |(_, rule)| rule.direction == direction && rule.action == RuleAction::Pass)
    }
}

/// The packet from each host that it may come from, or to each that it may go to.
fn sources(packet: &Fields) -> Vec<Fields> {
    match packet.family.map(packets::far) {
        Some(far) if packet.dst == far.first().copied() => far
            .map(|dst| Fields {
                dst: Some(dst),
                ..packet.clone()
            })
            .into(),
        Some(far) if packet.src == far.first().copied() => far
            .map(|src| Fields {
                src: Some(src),
                ..packet.clone()
            })
            .into(),
        Some(_) | None => vec![packet.clone()],
    }
}

/// The first state of those that a rule is made for.
fn own_state(wanted: &Matches) -> State {
    let mut states = wanted.state.iter().flat_map(|states| states.iter());
    states.next().unwrap_or_default()
}

/// Packets of the family that a rule is made for.
fn own_packets(wanted: &Matches, family: Family) -> Vec<Fields> {
    let port = |set: &Option<RangeSet<u16>>| match set {
        None => Some(EPHEMERAL),
        Some(set) => set.ranges().first().map(|(first, _)| *first),
    };
    let mut found = Vec::new();
    if let (Some(sport), Some(dport)) = (port(&wanted.sport), port(&wanted.dport)) {
        let flags = [SYN, ACK, SYN_ACK].into_iter();
        found.extend(flags.map(|flags| packets::tcp(family, sport, dport, flags)));
        found.push(packets::udp(family, sport, dport));
    }
    if let Some(set) = &wanted.icmp {
        let messages = match family {
            Family::Ipv4 => &set.v4,
            Family::Ipv6 => &set.v6,
        };
        let message = messages
            .ranges()
            .first()
            .map(|(first, _)| first.to_be_bytes());
        found.extend(message.map(|[kind, code]| packets::icmp(family, kind, code)));
    }
    found
}

/// The packet of a state with what a rule wants of it beside protocol, ports, flags, message and fragment;
/// none if it cannot match.
fn fitted(
    rule: &Rule,
    packet: &Fields,
    state: State,
    ruleset: &Ruleset,
    interfaces: &[String],
) -> Vec<Arrival> {
    let wanted = &rule.matches;
    let is_other = |set: &RangeSet<u8>| packet.protocol.is_none_or(|own| !set.contains(own));
    // What most rules are left out by.
    if wanted.proto.as_ref().is_some_and(is_other) {
        return Vec::new();
    }
    let fixed = Matches {
        interface: None,
        in_interface: None,
        forwarded: None,
        mark: None,
        vlan: None,
        src_mac: None,
        dst_mac: None,
        src: None,
        dst: None,
        length: None,
        ttl: None,
        dscp: None,
        ..wanted.clone()
    };
    if !matches(&fixed, packet, &Context::arriving(None).in_state(state)) {
        return Vec::new();
    }
    let Some(usual) = with_numbers(wanted, packet) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for src in addresses(wanted.src.as_deref(), usual.src, usual.family) {
        for dst in addresses(wanted.dst.as_deref(), usual.dst, usual.family) {
            for interface in names(wanted.interface.as_ref(), ruleset, interfaces) {
                let fields = Fields {
                    src,
                    dst,
                    ..usual.clone()
                };
                found.push(Arrival { fields, interface });
            }
        }
    }
    found
}

/// The packet with the VLAN, MAC addresses and numbers of its header that a rule wants.
fn with_numbers(wanted: &Matches, packet: &Fields) -> Option<Fields> {
    let mut fields = packet.clone();
    if let Some(set) = &wanted.vlan {
        let tag = set.ids.ranges().first().map(|(first, _)| *first);
        fields.vlan = if set.untagged { None } else { Some(tag?) };
    }
    fields.src_mac = nearest(wanted.src_mac.as_ref(), fields.src_mac)?;
    fields.dst_mac = nearest(wanted.dst_mac.as_ref(), fields.dst_mac)?;
    if fields.family.is_some() {
        let length = fields.length.and_then(|length| u16::try_from(length).ok());
        fields.length = Some(nearest(wanted.length.as_ref(), length?)?.into());
        fields.dscp = Some(nearest(wanted.dscp.as_ref(), fields.dscp?)?);
        fields.hop_limit = Some(nearest(wanted.ttl.as_ref(), fields.hop_limit?)?);
    }
    // The time to live is what makes these packets what they are.
    let is_of_link = packet.is_group_query || matches!(packet.hop_limit, Some(1 | 255));
    (!is_of_link || fields.hop_limit == packet.hop_limit).then_some(fields)
}

/// The value, or the last of the set if it has another; `None` for a set without values.
fn nearest<T: Value>(set: Option<&RangeSet<T>>, usual: T) -> Option<T> {
    match set {
        Some(set) if !set.contains(usual) => set.ranges().last().map(|(_, last)| *last),
        Some(_) | None => Some(usual),
    }
}

/// The address, or some of the set that has others.
fn addresses(
    set: Option<&AddressSet>,
    usual: Option<IpAddr>,
    family: Option<Family>,
) -> Vec<Option<IpAddr>> {
    let (Some(set), Some(address), Some(family)) = (set, usual, family) else {
        return vec![usual];
    };
    match (family, address) {
        (Family::Ipv4, IpAddr::V4(own)) if !set.v4.contains(own.into()) => some(&set.v4)
            .map(|number| Some(IpAddr::V4(number.into())))
            .collect(),
        (Family::Ipv6, IpAddr::V6(own)) if !set.v6.contains(own.into()) => some(&set.v6)
            .map(|number| Some(IpAddr::V6(number.into())))
            .collect(),
        _ => vec![usual],
    }
}

/// Some members, from all parts of a set.
fn some<T: Value>(set: &RangeSet<T>) -> impl Iterator<Item = T> {
    let ranges = set.ranges();
    let step = ranges.len().div_ceil(TRIED).max(1);
    ranges.iter().step_by(step).map(|(_, last)| *last)
}

/// Names of interfaces on which packets can match.
fn names(wanted: Option<&InterfaceMatch>, ruleset: &Ruleset, interfaces: &[String]) -> Vec<String> {
    let Some(wanted) = wanted else {
        return interfaces.to_vec();
    };
    let own = wanted.positives.iter().map(name_of);
    let mut names: Vec<String> = own.chain(interfaces.iter().cloned()).collect();
    names.retain(|name| {
        name != LOOPBACK && wanted.matches(name) && is_selected(&ruleset.settings, name)
    });
    names.truncate(TRIED);
    names
}

fn is_selected(settings: &Settings, name: &str) -> bool {
    settings
        .interfaces
        .iter()
        .any(|pattern| pattern.selects(name))
}

/// A name that the pattern fits.
fn name_of(pattern: &InterfacePattern) -> String {
    pattern.as_str().replace(['*', '?'], "0")
}

/// Whether what a rule passes may come in fragments: what has ports, is carried by UDP, and is not
/// always small.
pub(super) fn may_be_fragments(rule: &Rule, packet: &Fields) -> bool {
    /// DHCP, NTP and DHCPv6.
    const SMALL: [u16; 5] = [67, 68, 123, 546, 547];
    let wanted = &rule.matches;
    let is_small = |port: Option<u16>| port.is_some_and(|port| SMALL.contains(&port));
    packet.protocol == Some(protocol::UDP)
        && (wanted.sport.is_some() || wanted.dport.is_some())
        && !is_small(packet.sport)
        && !is_small(packet.dport)
}
