//! Packets that rules log, and packets that are dropped while a capture of drops runs: their limits, the names of their
//! rules, and their receivers.
//!
//! The program in the kernel decides which packets are reported (`firewall_ebpf::packet_log`,
//! `firewall_ebpf::drop_capture`). This module sets its limits, reads its events, and passes them on to the log and to
//! captures.

pub(crate) mod drop_captures;
pub(crate) mod drop_filter;
pub(crate) mod limits;
pub(crate) mod relay;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use firewall_ebpf::{
    abi::Reason,
    drop_capture::{DropEvent, reason_of},
    image::{COUNT, DROP},
    packet_log::{Event, OUT},
};
use nix::net::if_::if_indextoname;
use rules::{
    Context, analysis,
    model::{Direction, RuleAction},
    text::nearest,
};
use serde::{Deserialize, Serialize};

use crate::{
    generation::metadata::Metadata,
    kernel::{clock, slot::Slot},
};

/// A packet that a rule logged, or that was dropped while a capture of drops ran, in the form of the log and of captures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoggedPacket {
    /// When it was classified, in nanoseconds since 1970.
    pub(crate) time_ns: u64,
    /// The name of the rule; `None` if no rule decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// The reason if no rule decided, as in the counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The reason of the ban, if that was why and it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ban: Option<String>,
    /// `in` or `out`.
    pub(crate) direction: String,
    /// The action of the rule: `pass`, `drop` or `count`.
    pub(crate) action: String,
    /// The name of the interface that receives it, or by which it leaves, or `#` and its index once that is gone.
    pub(crate) interface: String,
    /// The number of the receiving queue; 0 of packets out.
    pub(crate) queue: u32,
    /// The length of the frame in bytes.
    pub(crate) length: u32,
    /// The packets that its buffer would have been cut into; 1 unless it leaves.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) packets: u32,
    /// How many dropped packets it stands for, by sampling.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) one_in: u32,
    /// The packet in the notation of `firewall explain`.
    pub(crate) packet: String,
    /// The beginning of the frame, in hexadecimal.
    #[serde(with = "in_digits")]
    pub(crate) frame: Vec<u8>,
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as `serde` calls it")]
const fn is_one(number: &u32) -> bool {
    *number == 1
}

/// The rules of which packets may have been reported, and those in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The names of the former, by slot.
    by_slot: BTreeMap<u32, Arc<str>>,
    /// The slots of what logs to the log of the daemon, too.
    journal: BTreeSet<u32>,
    /// The names of the latter in order.
    in_force: Arc<[InForceRule]>,
    /// The names of the reasons that log.
    reasons: Vec<String>,
}

/// A rule in force.
#[derive(Clone, Debug)]
struct InForceRule {
    name: Arc<str>,
    logs: bool,
    slot: u32,
}

impl Names {
    /// The rules in force, and the previous ones, whose events may not have been read yet.
    pub(crate) fn of(in_force: &Metadata, previous: Option<&Metadata>) -> Self {
        let rules = in_force.rules.iter().map(|rule| InForceRule {
            name: rule.name.as_str().into(),
            logs: rule.log.is_some(),
            slot: rule.slot.number(),
        });
        let mut rules: Vec<InForceRule> = rules.collect();
        rules.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let mut names = Self::default();
        if let Some(previous) = previous {
            names.add(previous);
        }
        let by_slot = rules.iter().map(|rule| (rule.slot, Arc::clone(&rule.name)));
        names.by_slot.extend(by_slot);
        names.in_force = rules.into();
        names.add_journal(in_force);
        names.reasons = in_force.reason_logs.keys().cloned().collect();
        names
    }

    /// Rules in force without events; `rules` are in order of their names.
    #[cfg(test)]
    pub(crate) fn listing(rules: &[(&str, bool)]) -> Self {
        let rules = rules.iter().map(|&(name, logs)| InForceRule {
            name: name.into(),
            logs,
            slot: 0,
        });
        Self {
            in_force: rules.collect(),
            ..Self::default()
        }
    }

    /// Rules in force that do not log, with their slots.
    #[cfg(test)]
    pub(crate) fn with_slots(rules: &[(&str, u32)]) -> Self {
        let all = rules.iter().map(|&(name, slot)| InForceRule {
            name: name.into(),
            logs: false,
            slot,
        });
        let by_slot = rules.iter().map(|&(name, slot)| (slot, name.into()));
        Self {
            by_slot: by_slot.collect(),
            in_force: all.collect(),
            ..Self::default()
        }
    }

    fn add(&mut self, metadata: &Metadata) {
        let rules = metadata.rules.iter();
        self.by_slot
            .extend(rules.map(|rule| (rule.slot.number(), rule.name.as_str().into())));
        self.add_journal(metadata);
    }

    fn add_journal(&mut self, metadata: &Metadata) {
        let logging = metadata.logging();
        let journal = logging.filter(|(_, limit)| limit.journal);
        self.journal.extend(journal.map(|(slot, _)| slot.number()));
    }

    /// Whether packets with a slot are for the log of the daemon, too.
    fn is_for_journal(&self, slot: u32) -> bool {
        self.journal.contains(&slot)
    }

    /// The reasons in force that log.
    pub(crate) fn logging_reasons(&self) -> &[String] {
        &self.reasons
    }

    /// The rules in force, in order of their names, and whether they log.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = (&str, bool)> {
        self.in_force.iter().map(|rule| (&*rule.name, rule.logs))
    }

    /// Whether a rule logs; `None` when it is not in force.
    pub(crate) fn logs(&self, name: &str) -> Option<bool> {
        self.find(name).map(|rule| rule.logs)
    }

    /// Whether a rule is in force.
    pub(crate) fn is_in_force(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The counter slot of a rule in force.
    pub(crate) fn slot(&self, name: &str) -> Option<u32> {
        self.find(name).map(|rule| rule.slot)
    }

    /// The message that no rule of a name is in force; `help` says what can be named.
    pub(crate) fn unknown(&self, name: &str, help: &str) -> String {
        let meant = nearest(name, self.in_force().map(|(name, _)| name));
        let meant = meant.map(|meant| format!("did you mean `{meant}`?"));
        let help = [Some(help.to_owned()).filter(|help| !help.is_empty()), meant];
        let help: Vec<String> = help.into_iter().flatten().collect();
        let message = format!("error: there is no rule `{name}` in force");
        if help.is_empty() {
            return message;
        }
        format!("{message}\nhelp: {}", help.join("; "))
    }

    fn find(&self, name: &str) -> Option<&InForceRule> {
        let found = self
            .in_force
            .binary_search_by(|rule| (*rule.name).cmp(name));
        self.in_force.get(found.ok()?)
    }

    fn name(&self, slot: Slot) -> String {
        let name = self.by_slot.get(&slot.number());
        name.map_or_else(|| format!("#{slot}"), |name| (**name).to_owned())
    }
}

impl LoggedPacket {
    /// The action of the rule.
    pub(crate) fn action(&self) -> Option<RuleAction> {
        RuleAction::ALL
            .into_iter()
            .find(|action| action.as_str() == self.action)
    }

    /// Whether it leaves.
    pub(crate) fn leaves(&self) -> bool {
        self.direction == Direction::Out.as_str()
    }

    /// A packet without contents.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            time_ns: 0,
            rule: Some("ssh".to_owned()),
            reason: None,
            ban: None,
            direction: "in".to_owned(),
            action: "drop".to_owned(),
            interface: "eth0".to_owned(),
            queue: 0,
            length: 0,
            packets: 1,
            one_in: 1,
            packet: String::new(),
            frame: Vec::new(),
        }
    }

    /// What decided, for people.
    pub(crate) fn cause(&self) -> String {
        let Self {
            rule, reason, ban, ..
        } = self;
        match (rule, reason, ban) {
            (Some(rule), _, _) => rule.clone(),
            (None, Some(reason), Some(ban)) => format!("({reason}: {ban})"),
            (None, Some(reason), None) => format!("({reason})"),
            (None, None, _) => String::new(),
        }
    }

    /// The same in a sentence.
    pub(crate) fn decider(&self) -> String {
        match (&self.rule, &self.reason) {
            (Some(rule), _) => format!("rule `{rule}`"),
            (None, Some(reason)) => format!("reason {reason}"),
            (None, None) => String::new(),
        }
    }

    /// A packet that was dropped; `ban` has the reason of a ban by its number.
    fn dropped(event: &DropEvent, names: &Names, ban: impl Fn(u32) -> String) -> Self {
        let packet = Self::new(&event.event, names);
        let is_banned = packet.reason.as_deref() == Some(Reason::Banned.name());
        let ban = is_banned.then(|| ban(event.ban));
        Self {
            packets: event.packets,
            one_in: event.one_in.max(1),
            ban: ban.filter(|ban| !ban.is_empty()),
            ..packet
        }
    }

    fn new(event: &Event, names: &Names) -> Self {
        let frame = &event.bytes[..event.captured.min(event.length) as usize];
        let interface = if_indextoname(event.interface).ok();
        let interface = interface
            .and_then(|name| name.into_string().ok())
            // The error of the library for an index that no interface has.
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| format!("#{}", event.interface));
        let action = match event.what & !OUT {
            COUNT => RuleAction::Count,
            DROP => RuleAction::Drop,
            _ => RuleAction::Pass,
        };
        let context = if event.what & OUT == 0 {
            Context::arriving(interface.as_str())
        } else {
            Context::sent(interface.as_str())
        };
        let reason = reason_of(event.slot).map(|(reason, _)| reason.name().to_owned());
        let rule = reason.is_none().then(|| names.name(Slot::new(event.slot)));
        Self {
            time_ns: since_1970(event.time),
            rule,
            reason,
            ban: None,
            direction: context.direction.as_str().to_owned(),
            action: action.as_str().to_owned(),
            packet: analysis::in_words(frame, event.length as usize, &context),
            interface,
            queue: event.queue,
            length: event.length,
            packets: 1,
            one_in: 1,
            frame: frame.to_vec(),
        }
    }
}

/// Converts a time since boot to a time since 1970, both in nanoseconds.
fn since_1970(since_start: u64) -> u64 {
    let real = SystemTime::now().duration_since(UNIX_EPOCH);
    let offset = real.ok().zip(clock::since_start().ok());
    let offset = offset.and_then(|(real, boot)| real.checked_sub(boot));
    let offset = offset.map_or(0, |offset| offset.as_nanos());
    u64::try_from(u128::from(since_start) + offset).unwrap_or(since_start)
}

mod in_digits {
    //! Bytes serialized as hexadecimal digits.

    use rules::text::hexadecimal;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hexadecimal::digits(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let digits = String::deserialize(from)?;
        hexadecimal::bytes(&digits).ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use firewall_ebpf::packet_log::SNAP_LEN;

    use super::*;

    #[test]
    fn an_event_is_told_in_words_and_survives_the_socket() {
        let frame = rules::notation::read("tcp 203.0.113.9:4444 > 192.0.2.1:22 syn payload 1000");
        let frame = frame.unwrap().frame;
        let names = Names::with_slots(&[("ssh", 70)]);
        let event = Event {
            time: 0,
            slot: 70,
            what: DROP,
            interface: u32::MAX,
            queue: 3,
            length: frame.len() as u32,
            captured: SNAP_LEN,
            bytes: *frame.first_chunk().unwrap(),
        };
        let logged = LoggedPacket::new(&event, &names);
        assert_eq!(
            (logged.rule.as_deref(), logged.action.as_str()),
            (Some("ssh"), "drop")
        );
        assert_eq!(logged.interface, format!("#{}", u32::MAX));
        assert_eq!(logged.length as usize, frame.len());
        let words = "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn length 1040";
        assert!(logged.packet.starts_with(words), "{}", logged.packet);
        let line = serde_json::to_string(&logged).unwrap();
        assert_eq!(serde_json::from_str::<LoggedPacket>(&line).unwrap(), logged);
        assert_eq!((logged.direction.as_str(), logged.leaves()), ("in", false));
        let other = LoggedPacket::new(&Event { slot: 71, ..event }, &names);
        assert_eq!(other.rule.as_deref(), Some("#71"));
        let what = DROP | OUT;
        let sent = LoggedPacket::new(&Event { what, ..event }, &names);
        assert_eq!((sent.action.as_str(), sent.leaves()), ("drop", true));
        assert_eq!(sent.packet, format!("out {}", logged.packet));
        let banned = DropEvent {
            event: Event {
                slot: Reason::Banned.slot(Direction::In, true),
                ..event
            },
            packets: 1,
            ban: 3,
            one_in: 100,
            padding: 0,
        };
        let banned = LoggedPacket::dropped(&banned, &names, |number| format!("ban {number}"));
        assert_eq!((banned.rule.as_deref(), banned.one_in), (None, 100));
        assert_eq!(banned.cause(), "(banned: ban 3)");
        let line = serde_json::to_string(&banned).unwrap();
        assert_eq!(serde_json::from_str::<LoggedPacket>(&line).unwrap(), banned);
    }
}
