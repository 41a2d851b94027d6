//! The rules in force, or those before them, read from the image that they were compiled to.

use std::collections::{BTreeMap, HashMap};

use firewall_ebpf::{abi::Reason, image::Drops};
use rules::language::{ListedField, ListedLog, ListedRule, ListedSet};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    error::Error,
    generation::{
        flows::FlowsEntry,
        in_force::{self, Loaded},
        metadata::Metadata,
        pinned::{Pinned, PinnedError},
    },
    kernel::{counters::Count, generation::Generation, images::Description},
    observe::counters::CounterSnapshot,
    text::format::utc,
};

/// The rules of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleListing {
    /// The generation.
    pub generation: Generation,
    /// When it came into force: RFC 3339, in UTC.
    pub loaded_at: String,
    /// The version of this software that compiled it.
    pub version: String,
    /// The rule file.
    pub file: String,
    /// The SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// The names and globs of the interfaces.
    pub interfaces: Vec<String>,
    /// `native`, `generic` or `auto`.
    pub mode: String,
    /// The verdict on packets in that no rule matches: `pass` or `drop`.
    pub policy: String,
    /// The verdict on packets out that no rule matches: `pass` or `drop`.
    pub policy_out: String,
    /// The verdicts on packets in to which rules cannot be applied, by the keys of `[parser]`.
    pub parser: BTreeMap<String, String>,
    /// The settings of the table of flows; `None` where no rule asks for states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<FlowSettings>,
    /// Whether it is known what the rules match. It is not kept of rules that take too much room, and early versions
    /// kept it of none.
    pub complete: bool,
    /// The rules in the order of the file, also those that are disabled.
    pub rules: Vec<RuleRow>,
    /// The sets that rules use.
    pub sets: Vec<ListedSet>,
}

/// The settings of the table of flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSettings {
    /// The number of slots.
    pub max: u32,
    /// The timeouts in seconds, by their keys in the rule file.
    pub timeouts: BTreeMap<String, u64>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleRow {
    /// Its number among the rules in force, counted from 1; `None` when it is disabled.
    pub number: Option<usize>,
    /// Its name.
    pub name: String,
    /// `in` or `out`: the direction of its packets.
    pub direction: String,
    /// `pass`, `drop` or `count`.
    pub action: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// What it matches; without fields everything, and `None` if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<ListedField>>,
    /// The limit of its log, if it logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<ListedLog>,
    /// What its author notes on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What it has counted, if that was asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

impl RuleListing {
    /// Reads the rules in force.
    ///
    /// # Errors
    ///
    /// When nothing is loaded, or the pins cannot be opened.
    pub fn read(config: &Config) -> Result<Self, Error> {
        Ok(Self::of_loaded(&in_force::read(config)?))
    }

    /// Reads the rules in force with what each has counted; again when another generation came into force meanwhile.
    ///
    /// # Errors
    ///
    /// When nothing is loaded, or the pins cannot be opened.
    pub fn read_with_counters(config: &Config) -> Result<Self, Error> {
        loop {
            let counters = CounterSnapshot::read(config)?;
            let mut listing = Self::read(config)?;
            if listing.generation == counters.generation {
                listing.add(&counters);
                return Ok(listing);
            }
        }
    }

    /// Reads the rules that a rollback would bring back.
    ///
    /// # Errors
    ///
    /// When nothing is loaded, no previous rules are kept, or the pins cannot be opened.
    pub fn read_previous(config: &Config) -> Result<Self, Error> {
        Self::previous(config, in_force::read(config)?.metadata.generation)
    }

    /// The rules in force.
    pub(crate) fn of_loaded(loaded: &Loaded) -> Self {
        Self::of(&loaded.metadata, &loaded.description)
    }

    /// The rules before those of this generation.
    pub(crate) fn previous(config: &Config, in_force: Generation) -> Result<Self, Error> {
        let previous = Pinned::previous(&config.pins, in_force)?;
        let previous = previous.ok_or(PinnedError::NoPrevious(in_force))?;
        let description = previous.image.describe().map_err(PinnedError::from)?;
        Ok(Self::of(&previous.metadata, &description))
    }

    fn of(metadata: &Metadata, description: &Description) -> Self {
        let packed = metadata.listing.as_ref();
        let listing = packed.and_then(|packed| packed.unpacked());
        let (said, sets) = match listing {
            Some(listing) => (Some(listing.rules), listing.sets),
            None => (None, Vec::new()),
        };
        let rules = RuleRow::all(metadata, said.as_deref());
        let flows = metadata.flows.as_ref();
        Self {
            generation: metadata.generation,
            loaded_at: utc(metadata.loaded_at()),
            version: metadata.version.clone(),
            file: metadata.file.display().to_string(),
            sha256: metadata.sha256.clone(),
            interfaces: metadata.interfaces.clone(),
            mode: metadata.mode.clone(),
            policy: metadata.policy.clone(),
            policy_out: metadata.policy_out.clone(),
            parser: parser(Drops::from_bits(description.drops)),
            flows: flows.map(|FlowsEntry { max, timeouts }| FlowSettings {
                max: *max,
                timeouts: timeouts.clone(),
            }),
            complete: rules.iter().all(|rule| rule.fields.is_some()),
            rules,
            sets,
        }
    }

    /// Adds what each rule has counted.
    pub(crate) fn add(&mut self, counters: &CounterSnapshot) {
        let rows = counters.rules.iter().chain(&counters.disabled);
        let counts: HashMap<&str, Count> = rows.map(|row| (row.name.as_str(), row.count)).collect();
        for rule in &mut self.rules {
            rule.count = counts.get(rule.name.as_str()).copied();
        }
    }
}

impl RuleRow {
    /// The rules in the order of the file, if it is known what they say; otherwise those that are disabled come last.
    fn all(metadata: &Metadata, said: Option<&[ListedRule]>) -> Vec<Self> {
        let mut enabled = metadata.rules.iter().zip(1..).map(|(rule, number)| Self {
            number: Some(number),
            name: rule.name.clone(),
            direction: rule.direction.clone(),
            action: rule.action.clone(),
            enabled: true,
            fields: None,
            log: None,
            comment: rule.comment.clone(),
            count: None,
        });
        let mut disabled = metadata.disabled.iter().map(|rule| Self {
            number: None,
            name: rule.name.clone(),
            direction: rule.direction.clone(),
            action: rule.action.clone(),
            enabled: false,
            fields: None,
            log: None,
            comment: rule.comment.clone(),
            count: None,
        });
        let mut rows = Vec::new();
        for said in said.unwrap_or_default() {
            let next = if said.enabled {
                enabled.next()
            } else {
                disabled.next()
            };
            rows.extend(next.map(|row| Self {
                fields: Some(said.fields.clone()),
                log: said.log.clone(),
                ..row
            }));
        }
        rows.extend(enabled.chain(disabled));
        rows
    }
}

/// The verdicts of `[parser]`.
fn parser(drops: Drops) -> BTreeMap<String, String> {
    let reasons = [
        ("malformed", Reason::Malformed),
        ("truncated", Reason::Truncated),
        ("too_many_headers", Reason::TooManyHeaders),
        ("too_many_tags", Reason::TooManyTags),
        ("unknown_ethertype", Reason::UnknownEthertype),
    ];
    let verdicts = reasons.map(|(key, reason)| {
        let verdict = if drops.has(reason) { "drop" } else { "pass" };
        (key.to_owned(), verdict.to_owned())
    });
    verdicts.into()
}
