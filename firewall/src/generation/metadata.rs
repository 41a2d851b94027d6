//! Metadata of a generation: each time that a rule set is put in force it gets a number, and its
//! image describes it to user space.
//!
//! The metadata are part of the image, so any process that opens the pins can read them without the
//! daemon, and rules and image can never disagree.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use firewall_ebpf::abi::{self, Reason};
use rules::{
    field::InterfacePattern,
    language::{ListedRule, Listing},
    model::{Direction, LogLimit, Mode, Ruleset, Verdict},
};
use serde::{Deserialize, Serialize};

use crate::{
    generation::{flows::FlowsEntry, listing::PackedListing},
    interfaces::namespace,
    kernel::{generation::Generation, slot::Slot},
};

/// The metadata in an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// The version of the contract between program and user space; see [`abi::VERSION`].
    pub(crate) abi: u32,
    /// The version of what a program of another version takes over; see [`abi::STATE_VERSION`].
    pub(crate) state: u32,
    /// The version of this software.
    pub(crate) version: String,
    /// The generation.
    pub(crate) generation: Generation,
    /// When it was compiled or came back, in milliseconds since 1970.
    pub(crate) loaded_at_ms: u64,
    /// The rule file.
    pub(crate) file: PathBuf,
    /// The SHA-256 of the rule file, in hexadecimal.
    pub(crate) sha256: String,
    /// The inode of the network namespace whose interfaces it is for, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) netns: Option<u64>,
    /// The requested attachment mode.
    pub(crate) mode: String,
    /// The verdict on a packet in when no rule matches.
    pub(crate) policy: String,
    /// The verdict on a packet out when no rule matches.
    pub(crate) policy_out: String,
    /// The requested interfaces, as in the rule file.
    #[serde(default)]
    pub(crate) interfaces: Vec<String>,
    /// Whether programs see packets that are sent: they are filtered, or their flows tracked.
    #[serde(default)]
    pub(crate) egress: bool,
    /// The settings of the table of flows; `None` where rules do not ask for states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flows: Option<FlowsEntry>,
    /// The limits of packets that are logged though no rule decides them, by the name of their reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) reason_logs: BTreeMap<String, LogEntry>,
    /// The rules in order.
    pub(crate) rules: Vec<RuleEntry>,
    /// The rules that are disabled, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) disabled: Vec<DisabledEntry>,
    /// What the rules say, for people; `None` where it would take too much room, or where a version loaded them that did
    /// not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listing: Option<PackedListing>,
}

/// The metadata of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleEntry {
    /// Its name.
    pub(crate) name: String,
    /// The direction of its packets.
    pub(crate) direction: String,
    /// Its action.
    pub(crate) action: String,
    /// Its counter slot.
    pub(crate) slot: Slot,
    /// The limit of its logged packets; `None` when it does not log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<LogEntry>,
    /// What its author notes on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

/// The metadata of a rule that is disabled: it keeps its counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DisabledEntry {
    /// Its name.
    pub(crate) name: String,
    /// The direction of the packets that it would be for.
    pub(crate) direction: String,
    /// What it would do.
    pub(crate) action: String,
    /// Its counter slot.
    pub(crate) slot: Slot,
    /// What its author notes on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

/// The metadata of a limit of logged packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    /// The interval between packets, in nanoseconds.
    pub(crate) interval_ns: u64,
    /// The tolerance for early packets, in nanoseconds.
    pub(crate) tolerance_ns: u64,
    /// Whether the log of the daemon has them, too.
    #[serde(default)]
    pub(crate) journal: bool,
}

impl LogEntry {
    fn of(limit: LogLimit) -> Self {
        Self {
            interval_ns: limit.interval_ns(),
            tolerance_ns: limit.tolerance_ns(),
            journal: limit.journal,
        }
    }
}

/// Why metadata could not be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// They are of another version.
    #[error(
        "what is loaded has version {found} of the kernel interface, this program has version {}, which cannot read its \
         counters, bans and flows",
        abi::VERSION
    )]
    OtherVersion {
        /// The version of the kernel interface found.
        found: u32,
    },
    /// They are damaged.
    #[error("the metadata of the image in force are damaged")]
    Damaged(#[from] serde_json::Error),
}

impl Metadata {
    /// The metadata of a rule set whose rules, and after them the disabled ones, are counted in
    /// `slots`.
    pub(crate) fn new(
        generation: Generation,
        file: &Path,
        sha256: &str,
        ruleset: &Ruleset,
        listing: &Listing,
        slots: &[Slot],
    ) -> Self {
        let rules = ruleset
            .rules
            .iter()
            .zip(slots)
            .map(|(rule, &slot)| RuleEntry {
                name: rule.name.clone(),
                direction: rule.direction.as_str().to_owned(),
                action: rule.action.as_str().to_owned(),
                slot,
                log: rule.log.map(LogEntry::of),
                comment: rule.comment.clone(),
            });
        let disabled = slots.get(ruleset.rules.len()..).unwrap_or_default();
        let disabled = ruleset.disabled.iter().zip(disabled);
        let disabled = disabled.map(|(rule, &slot)| DisabledEntry {
            name: rule.name.clone(),
            direction: rule.direction.as_str().to_owned(),
            action: rule.action.as_str().to_owned(),
            slot,
            comment: rule.comment.clone(),
        });
        Self {
            abi: abi::VERSION,
            state: abi::STATE_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation,
            loaded_at_ms: now_ms(),
            file: file.to_owned(),
            sha256: sha256.to_owned(),
            netns: namespace::own_inode().ok(),
            mode: ruleset.settings.mode.as_str().to_owned(),
            policy: ruleset.settings.policy.as_str().to_owned(),
            policy_out: ruleset.settings.policy_out.as_str().to_owned(),
            interfaces: ruleset
                .settings
                .interfaces
                .iter()
                .map(ToString::to_string)
                .collect(),
            egress: ruleset.has_egress() || ruleset.asks_for_states(),
            flows: FlowsEntry::of(ruleset),
            reason_logs: Reason::ALL
                .into_iter()
                .filter_map(|reason| {
                    let limit = ruleset.settings.logs.limit_for(reason)?;
                    Some((reason.name().to_owned(), LogEntry::of(limit)))
                })
                .collect(),
            rules: rules.collect(),
            disabled: disabled.collect(),
            listing: PackedListing::of(listing),
        }
    }

    /// Decodes the metadata of an image, which another version of this program may have made.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, MetadataError> {
        #[derive(Deserialize)]
        struct Version {
            abi: u32,
            #[serde(default)]
            state: u32,
        }
        let Version { abi: found, state } = serde_json::from_slice(bytes)?;
        if state != abi::STATE_VERSION {
            return Err(MetadataError::OtherVersion { found });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Encodes the metadata for an image.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, MetadataError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Whether both ask for the same mode on the same interfaces, and have the same rules in the same
    /// order, as far as metadata say.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        (&self.mode, &self.interfaces) == (&other.mode, &other.interfaces)
            && (self.egress, &self.flows) == (other.egress, &other.flows)
            && self.reason_logs == other.reason_logs
            && (&self.rules, &self.disabled) == (&other.rules, &other.disabled)
            && self.said_by_rules() == other.said_by_rules()
    }

    fn said_by_rules(&self) -> Option<Vec<ListedRule>> {
        let listing = self.listing.as_ref()?.unpacked()?;
        Some(listing.rules)
    }

    /// Whether packets out are filtered; see [`Ruleset::has_egress`].
    pub(crate) fn has_egress(&self) -> bool {
        self.policy_out == Verdict::Drop.as_str()
            || self
                .rules
                .iter()
                .any(|rule| rule.direction == Direction::Out.as_str())
    }

    /// The slot of each rule by name, also of those that are disabled.
    pub(crate) fn slots(&self) -> BTreeMap<String, Slot> {
        let rules = self.rules.iter().map(|rule| (&rule.name, rule.slot));
        let disabled = self.disabled.iter().map(|rule| (&rule.name, rule.slot));
        let all = rules.chain(disabled);
        all.map(|(name, slot)| (name.clone(), slot)).collect()
    }

    /// The limit of packets that are counted under a reason; `None` if they are not logged.
    pub(crate) fn reason_log(&self, reason: Reason) -> Option<LogEntry> {
        self.reason_logs.get(reason.name()).copied()
    }

    /// Everything that logs: its counter slot, and its limit. Each reason has a slot for each direction and verdict.
    pub(crate) fn logging(&self) -> impl Iterator<Item = (Slot, LogEntry)> {
        let rules = self.rules.iter();
        let rules = rules.filter_map(|rule| Some((rule.slot, rule.log?)));
        let reasons = Reason::ALL
            .into_iter()
            .filter_map(|reason| Some((reason, self.reason_log(reason)?)));
        let reasons = reasons.flat_map(|(reason, limit)| {
            Direction::ALL.into_iter().flat_map(move |direction| {
                let possible = [false, true].into_iter();
                let possible = possible.filter(move |dropped| reason.can_be(direction, *dropped));
                possible.map(move |dropped| (Slot::new(reason.slot(direction, dropped)), limit))
            })
        });
        rules.chain(reasons)
    }

    /// The slots of the rules in order, and after them those of the disabled ones.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = Slot> {
        let disabled = self.disabled.iter().map(|rule| rule.slot);
        self.rules.iter().map(|rule| rule.slot).chain(disabled)
    }

    /// The metadata for the same generation under another number.
    pub(crate) fn again(&self, generation: Generation) -> Self {
        Self {
            abi: abi::VERSION,
            generation,
            loaded_at_ms: now_ms(),
            netns: namespace::own_inode().ok(),
            ..self.clone()
        }
    }

    /// The requested attachment mode, if this version knows it.
    pub(crate) fn mode(&self) -> Option<Mode> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.as_str() == self.mode)
    }

    /// The requested interfaces.
    pub(crate) fn patterns(&self) -> Vec<InterfacePattern> {
        let names = self.interfaces.iter();
        names
            .filter_map(|name| InterfacePattern::parse(name))
            .collect()
    }

    /// When the image was compiled or came back.
    pub(crate) fn loaded_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.loaded_at_ms)
    }
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata {
            abi: abi::VERSION,
            state: abi::STATE_VERSION,
            version: "0.1.0".into(),
            generation: Generation::FIRST,
            loaded_at_ms: 1_700_000_000_000,
            file: "/etc/firewall/rules.toml".into(),
            sha256: "00".repeat(32),
            netns: Some(4_026_531_840),
            mode: "native".into(),
            policy: "drop".into(),
            policy_out: "pass".into(),
            interfaces: vec!["eth*".into()],
            egress: false,
            flows: None,
            reason_logs: BTreeMap::from([(
                "policy".into(),
                LogEntry {
                    interval_ns: 1,
                    tolerance_ns: 2,
                    journal: true,
                },
            )]),
            rules: vec![RuleEntry {
                name: "ssh".into(),
                direction: "in".into(),
                action: "pass".into(),
                slot: Slot::new(32),
                log: Some(LogEntry {
                    interval_ns: 100_000_000,
                    tolerance_ns: 0,
                    journal: false,
                }),
                comment: Some("the way in".into()),
            }],
            disabled: vec![DisabledEntry {
                name: "telnet".into(),
                direction: "in".into(),
                action: "drop".into(),
                slot: Slot::new(33),
                comment: None,
            }],
            listing: PackedListing::of(&Listing::default()),
        }
    }

    #[test]
    fn metadata_survive_the_image() {
        let bytes = metadata().to_bytes().unwrap();
        assert_eq!(Metadata::from_bytes(&bytes).unwrap(), metadata());
    }

    #[test]
    fn a_reason_that_logs_has_a_limit_in_each_direction_and_for_each_verdict() {
        let logging: BTreeMap<Slot, LogEntry> = metadata().logging().collect();
        assert_eq!(logging.len(), 1 + 4);
        assert_eq!(logging[&Slot::new(32)], metadata().rules[0].log.unwrap());
        for direction in Direction::ALL {
            for dropped in [false, true] {
                let slot = Slot::new(Reason::Policy.slot(direction, dropped));
                assert!(logging[&slot].journal);
            }
        }
    }

    #[test]
    fn disabled_rules_keep_their_slots() {
        let all: Vec<Slot> = metadata().all_slots().collect();
        assert_eq!(all, [Slot::new(32), Slot::new(33)]);
        let by_name = metadata().slots();
        assert_eq!(by_name["telnet"], Slot::new(33));
        assert_eq!(by_name.len(), 2);
    }

    #[test]
    fn a_rule_or_a_policy_for_packets_out_needs_a_program() {
        assert!(!metadata().has_egress());
        let mut with_rule = metadata();
        with_rule.rules[0].direction = "out".into();
        assert!(with_rule.has_egress());
        let with_policy = Metadata {
            policy_out: "drop".into(),
            ..metadata()
        };
        assert!(with_policy.has_egress());
    }

    #[test]
    fn another_version_is_read_if_it_left_the_same_state_and_is_told_apart_from_damage() {
        let newer = Metadata {
            abi: u32::MAX,
            ..metadata()
        };
        let bytes = newer.to_bytes().unwrap();
        assert_eq!(Metadata::from_bytes(&bytes).unwrap(), newer);
        for other in [
            &br#"{"abi":4294967295,"all":"else may differ"}"#[..],
            br#"{"abi":4294967295,"state":4000000000,"all":"else may differ"}"#,
        ] {
            assert!(matches!(
                Metadata::from_bytes(other),
                Err(MetadataError::OtherVersion { found: u32::MAX })
            ));
        }
        assert!(matches!(
            Metadata::from_bytes(b"\0\0"),
            Err(MetadataError::Damaged(_))
        ));
    }
}
