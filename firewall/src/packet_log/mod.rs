//! Packets that rules log: their limits, the names of their rules, and their receivers.
//!
//! The program in the kernel decides which packets are logged (`firewall_ebpf::packet_log`). This
//! module sets its limits, reads its events, and passes them on to the log and to captures.

pub(crate) mod limits;
pub(crate) mod relay;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use firewall_ebpf::{
    image::{COUNT, DROP},
    packet_log::{Event, OUT},
};
use nix::net::if_::if_indextoname;
use rules::{
    Context, analysis,
    model::{Direction, RuleAction},
};
use serde::{Deserialize, Serialize};

use crate::{
    generation::metadata::Metadata,
    kernel::{clock, slot::Slot},
};

/// A packet that a rule logged, in the form of the log and of captures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoggedPacket {
    /// When it was classified, in nanoseconds since 1970.
    pub(crate) time_ns: u64,
    /// The name of the rule.
    pub(crate) rule: String,
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
    /// The packet in the notation of `firewall explain`.
    pub(crate) packet: String,
    /// The beginning of the frame, in hexadecimal.
    #[serde(with = "in_digits")]
    pub(crate) frame: Vec<u8>,
}

/// The rules that may have logged packets, and those in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The names of the former, by slot.
    by_slot: BTreeMap<u32, String>,
    /// The names of the latter in order, with whether they log.
    in_force: Arc<[(String, bool)]>,
}

impl Names {
    /// The rules in force, and the previous ones, whose events may not have been read yet.
    pub(crate) fn of(in_force: &Metadata, previous: Option<&Metadata>) -> Self {
        let mut rules: Vec<(String, bool)> = in_force
            .rules
            .iter()
            .map(|rule| (rule.name.clone(), rule.log.is_some()))
            .collect();
        rules.sort_unstable();
        let mut names = Self {
            by_slot: BTreeMap::new(),
            in_force: rules.into(),
        };
        for metadata in [previous, Some(in_force)].into_iter().flatten() {
            names.add(metadata);
        }
        names
    }

    /// Rules in force without events; `rules` are in order of their names.
    #[cfg(test)]
    pub(crate) fn listing(rules: &[(&str, bool)]) -> Self {
        let rules = rules.iter().map(|&(name, logs)| (name.to_owned(), logs));
        Self {
            by_slot: BTreeMap::new(),
            in_force: rules.collect(),
        }
    }

    fn add(&mut self, metadata: &Metadata) {
        let logging = metadata.rules.iter().filter(|rule| rule.log.is_some());
        self.by_slot
            .extend(logging.map(|rule| (rule.slot.number(), rule.name.clone())));
    }

    /// The rules in force, in order of their names, and whether they log.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = (&str, bool)> {
        self.in_force
            .iter()
            .map(|(name, logs)| (name.as_str(), *logs))
    }

    /// Whether a rule logs; `None` when it is not in force.
    pub(crate) fn logs(&self, name: &str) -> Option<bool> {
        let found = self
            .in_force
            .binary_search_by(|(other, _)| other.as_str().cmp(name));
        let (_, logs) = self.in_force.get(found.ok()?)?;
        Some(*logs)
    }

    fn name(&self, slot: Slot) -> String {
        let name = self.by_slot.get(&slot.number()).cloned();
        name.unwrap_or_else(|| format!("#{slot}"))
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
        Self {
            time_ns: since_1970(event.time),
            rule: names.name(Slot::new(event.slot)),
            direction: context.direction.as_str().to_owned(),
            action: action.as_str().to_owned(),
            packet: analysis::in_words(frame, event.length as usize, &context),
            interface,
            queue: event.queue,
            length: event.length,
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
        let names = Names {
            by_slot: BTreeMap::from([(40, "ssh".to_owned())]),
            in_force: Arc::default(),
        };
        let event = Event {
            time: 0,
            slot: 40,
            what: DROP,
            interface: u32::MAX,
            queue: 3,
            length: frame.len() as u32,
            captured: SNAP_LEN,
            bytes: *frame.first_chunk().unwrap(),
        };
        let logged = LoggedPacket::new(&event, &names);
        assert_eq!(
            (logged.rule.as_str(), logged.action.as_str()),
            ("ssh", "drop")
        );
        assert_eq!(logged.interface, format!("#{}", u32::MAX));
        assert_eq!(logged.length as usize, frame.len());
        let words = "tcp 203.0.113.9:4444 > 192.0.2.1:22 syn length 1040";
        assert!(logged.packet.starts_with(words), "{}", logged.packet);
        let line = serde_json::to_string(&logged).unwrap();
        assert_eq!(serde_json::from_str::<LoggedPacket>(&line).unwrap(), logged);
        assert_eq!((logged.direction.as_str(), logged.leaves()), ("in", false));
        let other = LoggedPacket::new(&Event { slot: 41, ..event }, &names);
        assert_eq!(other.rule, "#41");
        let what = DROP | OUT;
        let sent = LoggedPacket::new(&Event { what, ..event }, &names);
        assert_eq!((sent.action.as_str(), sent.leaves()), ("drop", true));
        assert_eq!(sent.packet, format!("out {}", logged.packet));
    }
}
