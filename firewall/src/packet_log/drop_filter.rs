//! What a capture of drops asks for: the part that the programs in the kernel compare, and the rest.

use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU32};

use firewall_ebpf::{
    abi::Reason,
    drop_capture::{BY_RULE, by_reason},
};
use rules::{
    evaluator::{Fields, decode},
    field::{protocol_number, protocols},
    model::Direction,
    text::nearest,
};
use serde::{Deserialize, Serialize};

use crate::{
    bans::prefix::{Prefix, read_prefixes},
    packet_log::{LoggedPacket, Names},
};

/// What drops packets: a rule, or a reason of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DropCause {
    /// A rule.
    Rule,
    /// A reason for which the program drops packets without a rule.
    Reason(Reason),
}

impl DropCause {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let can_be = |reason: &Reason| {
            Direction::ALL.map(|direction| reason.can_be(direction, true)) != [false; 2]
        };
        let reasons = Reason::ALL.into_iter().filter(can_be).map(Self::Reason);
        [Self::Rule].into_iter().chain(reasons)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Reason(reason) => reason.name(),
        }
    }

    /// Its bit for the programs.
    fn bit(self) -> u32 {
        match self {
            Self::Rule => BY_RULE,
            Self::Reason(reason) => by_reason(reason),
        }
    }

    /// Those that a word names: one, or with `parser` all that the parser finds.
    fn read(word: &str) -> Result<Vec<Self>, String> {
        if word == PARSER {
            let found = [
                Reason::Malformed,
                Reason::Truncated,
                Reason::TooManyHeaders,
                Reason::TooManyTags,
            ];
            return Ok(found.map(Self::Reason).to_vec());
        }
        let cause = Self::all().find(|cause| cause.name() == word);
        cause.map(|cause| vec![cause]).ok_or_else(|| {
            let names = || Self::all().map(Self::name).chain([PARSER]);
            let meant = nearest(word, names());
            let meant =
                meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            format!(
                "error: there is no reason `{word}`\nhelp: reasons are {}{meant}",
                names.join(", ")
            )
        })
    }
}

/// The word for all reasons that the parser finds.
const PARSER: &str = "parser";

/// Which dropped packets a capture shows, as requested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DropFilter {
    /// The names of rules that drop, and reasons: packets dropped by any of them. All if both are empty.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) rules: BTreeSet<String>,
    /// As above.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) reasons: BTreeSet<String>,
    /// `in` or `out`; both without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<String>,
    /// The name of the only interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<String>,
    /// Addresses, prefixes or ranges, of which one has the source or the destination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<String>,
    /// Likewise the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) src: Vec<String>,
    /// Likewise the destination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dst: Vec<String>,
    /// Protocols by name or number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) proto: Vec<String>,
    /// Ports, of which one is that of the source or the destination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<u16>,
    /// One of so many packets is shown; all without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<NonZeroU32>,
    /// The packets shown per second at most, and at once; [`DEFAULT_RATE`] without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<NonZeroU32>,
}

/// The packets per second of a capture that asks for no other number.
const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// The maximum of [`DropFilter::rate`]: what the daemon passes on besides its other work.
const MAX_RATE: u32 = 100_000;

/// The same, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DropMatcher {
    rules: BTreeSet<String>,
    causes: BTreeSet<DropCause>,
    direction: Option<Direction>,
    interface: Option<String>,
    addresses: Vec<Prefix>,
    src: Vec<Prefix>,
    dst: Vec<Prefix>,
    protocols: Vec<u8>,
    ports: Vec<u16>,
    /// One of so many is shown.
    pub(super) one_in: NonZeroU32,
    /// So many per second, and at once.
    pub(super) rate: NonZeroU32,
}

impl DropFilter {
    /// Understands the request, with the rules in force.
    ///
    /// # Errors
    ///
    /// The message about a value that names nothing.
    pub(crate) fn matcher(&self, names: &Names) -> Result<DropMatcher, String> {
        for wanted in &self.rules {
            if !names.is_in_force(wanted) {
                return Err(names.unknown(wanted, ""));
            }
        }
        let causes = self.reasons.iter().map(|word| DropCause::read(word));
        let causes = causes.collect::<Result<Vec<_>, _>>()?;
        let direction = self.direction.as_deref().map(|word| {
            let mut all = Direction::ALL.into_iter();
            all.find(|direction| direction.as_str() == word)
                .ok_or_else(|| {
                    format!("error: there is no direction `{word}`\nhelp: it is `in` or `out`")
                })
        });
        let rate = self.rate.unwrap_or(DEFAULT_RATE);
        if rate.get() > MAX_RATE {
            return Err(format!(
                "error: a capture shows at most {MAX_RATE} packets per second, and this one asks for {rate}"
            ));
        }
        Ok(DropMatcher {
            rules: self.rules.clone(),
            causes: causes.into_iter().flatten().collect(),
            direction: direction.transpose()?,
            interface: self.interface.clone(),
            addresses: prefixes(&self.addresses)?,
            src: prefixes(&self.src)?,
            dst: prefixes(&self.dst)?,
            protocols: self
                .proto
                .iter()
                .map(|word| protocol(word))
                .collect::<Result<_, _>>()?,
            ports: self.ports.clone(),
            one_in: self.sample.unwrap_or(NonZeroU32::MIN),
            rate,
        })
    }
}

impl DropMatcher {
    /// The bits of what is asked for of packets of a direction.
    pub(super) fn causes(&self, direction: Direction) -> u32 {
        if self.direction.is_some_and(|only| only != direction) {
            return 0;
        }
        let rules = if self.rules.is_empty() { 0 } else { BY_RULE };
        if self.is_for_all_causes() {
            return DropCause::all().fold(0, |bits, cause| bits | cause.bit());
        }
        let causes = self.causes.iter();
        causes.fold(rules, |bits, cause| bits | cause.bit())
    }

    fn is_for_all_causes(&self) -> bool {
        self.rules.is_empty() && self.causes.is_empty()
    }

    /// The only interface that is asked for.
    pub(super) fn only_interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// The only rule that is asked for, if nothing else is.
    pub(super) fn only_rule(&self) -> Option<&str> {
        let mut rules = self.rules.iter();
        let only = rules.next().filter(|_| self.causes.is_empty())?;
        rules.next().is_none().then_some(only.as_str())
    }

    /// Whether a packet that was dropped is asked for.
    pub(crate) fn takes(&self, packet: &LoggedPacket) -> bool {
        self.takes_cause(packet)
            && self
                .direction
                .is_none_or(|direction| direction.as_str() == packet.direction)
            && self
                .interface
                .as_ref()
                .is_none_or(|name| *name == packet.interface)
            && self.takes_contents(packet)
    }

    fn takes_cause(&self, packet: &LoggedPacket) -> bool {
        if self.is_for_all_causes() {
            return true;
        }
        let has = |name: &str| self.causes.iter().any(|cause| cause.name() == name);
        match (&packet.rule, &packet.reason) {
            (Some(rule), _) => self.rules.contains(rule) || has(DropCause::Rule.name()),
            (None, Some(reason)) => has(reason),
            (None, None) => false,
        }
    }

    fn takes_contents(&self, packet: &LoggedPacket) -> bool {
        let lists = [&self.addresses, &self.src, &self.dst];
        if lists.map(Vec::is_empty) == [true; 3]
            && self.protocols.is_empty()
            && self.ports.is_empty()
        {
            return true;
        }
        // What is beyond the captured beginning has no field that is asked for.
        let mut frame = packet.frame.clone();
        frame.resize(frame.len().max(packet.length as usize), 0);
        decode(&frame).is_ok_and(|fields| self.takes_fields(&fields))
    }

    fn takes_fields(&self, fields: &Fields) -> bool {
        let covers = |prefixes: &[Prefix], address: Option<IpAddr>| {
            let is_in = |address| prefixes.iter().any(|prefix| prefix.covers(address));
            address.is_some_and(is_in)
        };
        let one = |prefixes: &[Prefix], address| prefixes.is_empty() || covers(prefixes, address);
        let has_port = |port: Option<u16>| port.is_some_and(|port| self.ports.contains(&port));
        (self.addresses.is_empty()
            || covers(&self.addresses, fields.src)
            || covers(&self.addresses, fields.dst))
            && one(&self.src, fields.src)
            && one(&self.dst, fields.dst)
            && (self.protocols.is_empty()
                || fields
                    .protocol
                    .is_some_and(|number| self.protocols.contains(&number)))
            && (self.ports.is_empty() || has_port(fields.sport) || has_port(fields.dport))
    }
}

fn prefixes(texts: &[String]) -> Result<Vec<Prefix>, String> {
    let read = |text: &String| read_prefixes(text).map_err(|error| format!("error: {error}"));
    let lists = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(lists.concat())
}

fn protocol(word: &str) -> Result<u8, String> {
    let number = || word.parse().ok();
    protocol_number(word).or_else(number).ok_or_else(|| {
        let meant = nearest(word, protocols());
        let meant = meant.map_or_else(String::new, |meant| {
            format!("\nhelp: did you mean `{meant}`?")
        });
        format!("error: `{word}` is neither a protocol nor its number{meant}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::listing(&[("dns", false), ("ssh", false)])
    }

    fn packet(rule: Option<&str>, reason: Option<&str>, words: &str) -> LoggedPacket {
        let frame = rules::notation::read(words).unwrap().frame;
        LoggedPacket {
            rule: rule.map(str::to_owned),
            reason: reason.map(str::to_owned),
            length: frame.len().try_into().unwrap(),
            frame,
            ..LoggedPacket::sample()
        }
    }

    fn asked(json: &str) -> DropMatcher {
        let filter: DropFilter = serde_json::from_str(json).unwrap();
        filter.matcher(&names()).unwrap()
    }

    const SSH: &str = "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn";

    #[test]
    fn each_part_of_a_filter_takes_and_refuses() {
        let ssh = packet(Some("ssh"), None, SSH);
        let policy = packet(None, Some("policy"), SSH);
        for (json, by_rule, by_policy) in [
            ("{}", true, true),
            (r#"{"rules":["ssh"]}"#, true, false),
            (r#"{"rules":["dns"]}"#, false, false),
            (r#"{"rules":["dns"],"reasons":["policy"]}"#, false, true),
            (r#"{"reasons":["rule"]}"#, true, false),
            (r#"{"reasons":["policy","rule"]}"#, true, true),
            (r#"{"reasons":["parser"]}"#, false, false),
            (r#"{"direction":"in"}"#, true, true),
            (r#"{"direction":"out"}"#, false, false),
            (r#"{"interface":"eth0"}"#, true, true),
            (r#"{"interface":"eth1"}"#, false, false),
            (r#"{"addresses":["192.0.2.0/24"]}"#, true, true),
            (r#"{"addresses":["203.0.113.9"]}"#, true, true),
            (r#"{"addresses":["198.51.100.1"]}"#, false, false),
            (r#"{"src":["203.0.113.0-203.0.113.9"]}"#, true, true),
            (r#"{"src":["192.0.2.1"]}"#, false, false),
            (r#"{"dst":["192.0.2.1","::/0"]}"#, true, true),
            (r#"{"dst":["::/0"]}"#, false, false),
            (r#"{"proto":["tcp"]}"#, true, true),
            (r#"{"proto":["6"],"ports":[22]}"#, true, true),
            (r#"{"proto":["udp"],"ports":[22]}"#, false, false),
            (r#"{"ports":[80,4444]}"#, true, true),
            (r#"{"ports":[80]}"#, false, false),
        ] {
            let matcher = asked(json);
            assert_eq!(matcher.takes(&ssh), by_rule, "{json}");
            assert_eq!(matcher.takes(&policy), by_policy, "{json}");
        }
    }

    #[test]
    fn a_packet_that_cannot_be_read_has_no_addresses() {
        let broken = LoggedPacket {
            frame: vec![0; 20],
            length: 20,
            reason: Some("truncated".into()),
            rule: None,
            ..LoggedPacket::sample()
        };
        assert!(asked(r#"{"reasons":["parser"]}"#).takes(&broken));
        assert!(!asked(r#"{"addresses":["0.0.0.0/0"]}"#).takes(&broken));
    }

    #[test]
    fn the_programs_learn_what_they_can_compare() {
        let all = asked("{}").causes(Direction::In);
        for cause in DropCause::all() {
            assert!(all & cause.bit() != 0, "{cause:?}");
        }
        let some = asked(r#"{"reasons":["policy"],"rules":["ssh"],"direction":"out"}"#);
        assert_eq!(some.causes(Direction::In), 0);
        let policy = by_reason(Reason::Policy);
        assert_eq!(some.causes(Direction::Out), policy | BY_RULE);
        assert_eq!(some.only_rule(), None);
        assert_eq!(asked(r#"{"rules":["ssh"]}"#).only_rule(), Some("ssh"));
        assert_eq!(asked(r#"{"rules":["dns","ssh"]}"#).only_rule(), None);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (json, message) in [
            (
                r#"{"rules":["shs"]}"#,
                "error: there is no rule `shs` in force\nhelp: did you mean `ssh`?",
            ),
            (
                r#"{"direction":"up"}"#,
                "error: there is no direction `up`\nhelp: it is `in` or `out`",
            ),
            (
                r#"{"proto":["tpc"]}"#,
                "error: `tpc` is neither a protocol nor its number\nhelp: did you mean `tcp`?",
            ),
            (
                r#"{"addresses":["x"]}"#,
                "error: `x` is neither an address, a prefix nor a range",
            ),
            (
                r#"{"rate":100001}"#,
                "error: a capture shows at most 100000 packets per second, and this one asks for 100001",
            ),
        ] {
            let filter: DropFilter = serde_json::from_str(json).unwrap();
            assert_eq!(filter.matcher(&names()).unwrap_err(), message);
        }
        let filter: DropFilter = serde_json::from_str(r#"{"reasons":["polcy"]}"#).unwrap();
        let message = filter.matcher(&names()).unwrap_err();
        assert!(message.ends_with("; did you mean `policy`?"), "{message}");
        for json in [r#"{"sample":0}"#, r#"{"rule":["ssh"]}"#] {
            assert!(serde_json::from_str::<DropFilter>(json).is_err(), "{json}");
        }
    }
}
