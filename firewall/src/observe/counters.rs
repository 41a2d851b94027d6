//! The counters: what each rule, and each reason besides, has decided.

use std::{collections::HashMap, time::Duration};

use firewall_ebpf::{
    abi::{Direction, Reason},
    image::Drops,
};
use serde::Serialize;

use crate::{
    config::Config,
    error::Error,
    generation::in_force::{self, Loaded},
    kernel::{
        counters::{Count, Counters},
        events::{EventsError, LogLimiters},
        generation::Generation,
        pins::PinnedObject,
        slot::Slot,
    },
    observe::{
        bans::{self, ReasonRow},
        flows::FlowStatus,
    },
};

/// All counters at one time.
#[derive(Clone, Debug, Serialize)]
pub struct CounterSnapshot {
    /// The generation of rules that counts.
    pub generation: Generation,
    /// The rules, in their order.
    pub rules: Vec<CounterRow>,
    /// The rules that are disabled, which count nothing, with what they counted before.
    pub disabled: Vec<CounterRow>,
    /// What decides packets besides rules: the policy, the parser, bans. What passes some packets and
    /// drops others, as the rules in force say, has a row for either. Packets out have rows if the
    /// rules in force filter them.
    pub reasons: Vec<CounterRow>,
    /// What was dropped for each reason of a ban.
    pub bans: Vec<CounterRow>,
    /// How full the table of flows is; `None` where no rule asks for states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<FlowStatus>,
}

/// One counter.
#[derive(Clone, Debug, Serialize)]
pub struct CounterRow {
    /// The rule, or the reason.
    pub name: String,
    /// `in` or `out`: the direction of the packets.
    pub direction: String,
    /// `pass`, `drop` or `count`; for a reason, what became of these packets.
    pub action: String,
    /// Whether packets get this action now; false for a verdict that a reason had earlier, and for a
    /// rule that is disabled.
    pub in_force: bool,
    /// `None` for reasons of bans, which are counted elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// What was counted since the counters were made.
    #[serde(flatten)]
    pub count: Count,
    /// `None` unless [`CounterSnapshot::compare`] had an earlier snapshot.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub rate: Option<CounterRate>,
    /// `None` when it does not log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogCount>,
    /// What the author of a rule notes on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What became of the packets of a rule that logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogCount {
    /// Packets that were emitted.
    pub emitted: u64,
    /// Packets above the rate of the rule's log.
    pub suppressed: u64,
    /// Packets that the daemon was too slow to read.
    pub lost: u64,
}

/// A mean rate between two snapshots.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CounterRate {
    /// Packets per second.
    pub packets_per_second: f64,
    /// Bytes per second.
    pub bytes_per_second: f64,
}

impl CounterSnapshot {
    /// Reads the counters; again when another generation came into force meanwhile.
    ///
    /// # Errors
    ///
    /// When nothing is loaded, or the pins cannot be opened.
    pub fn read(config: &Config) -> Result<Self, Error> {
        loop {
            let loaded = in_force::read(config)?;
            let counters = Counters::open(&config.pins.object(PinnedObject::Counters))?;
            let snapshot = Self::of(config, &loaded, &counters)?;
            if in_force::read(config)?.metadata.generation == snapshot.generation {
                return Ok(snapshot);
            }
        }
    }

    fn of(config: &Config, loaded: &Loaded, counters: &Counters) -> Result<Self, Error> {
        let entries = &loaded.metadata.rules;
        let some_log = loaded.metadata.logging().next().is_some();
        let limiters = some_log
            .then(|| LogLimiters::open(&config.pins))
            .transpose()?;
        let rules = entries.iter().map(|rule| {
            let limiters = limiters.as_ref().filter(|_| rule.log.is_some());
            Ok(CounterRow {
                name: rule.name.clone(),
                direction: rule.direction.clone(),
                action: rule.action.clone(),
                in_force: true,
                slot: Some(rule.slot),
                count: counters.read(rule.slot)?,
                rate: None,
                log: limiters
                    .map(|all| LogCount::read(all, rule.slot))
                    .transpose()?,
                comment: rule.comment.clone(),
            })
        });
        let disabled = loaded.metadata.disabled.iter().map(|rule| {
            Ok(CounterRow {
                name: rule.name.clone(),
                direction: rule.direction.clone(),
                action: rule.action.clone(),
                in_force: false,
                slot: Some(rule.slot),
                count: counters.read(rule.slot)?,
                rate: None,
                log: None,
                comment: rule.comment.clone(),
            })
        });
        let drops = |direction| {
            Drops::from_bits(match direction {
                Direction::In => loaded.description.drops,
                Direction::Out => loaded.description.drops_out,
            })
        };
        let directions = Direction::ALL
            .into_iter()
            .filter(|direction| match direction {
                Direction::In => true,
                Direction::Out => loaded.metadata.has_egress(),
            });
        let verdicts = directions.flat_map(|direction| {
            Reason::ALL.into_iter().flat_map(move |reason| {
                let possible = [false, true].into_iter();
                let possible = possible.filter(move |dropped| reason.can_be(direction, *dropped));
                possible.map(move |dropped| (direction, reason, dropped))
            })
        });
        let reasons = verdicts.map(|(direction, reason, dropped)| {
            let slot = Slot::new(reason.slot(direction, dropped));
            let limiters = limiters
                .as_ref()
                .filter(|_| loaded.metadata.reason_log(reason).is_some());
            Ok(CounterRow {
                name: reason.name().to_owned(),
                direction: direction.as_str().to_owned(),
                action: if dropped { "drop" } else { "pass" }.to_owned(),
                in_force: !reason.can_be(direction, !dropped)
                    || dropped == drops(direction).has(reason),
                slot: Some(slot),
                count: counters.read(slot)?,
                rate: None,
                log: limiters.map(|all| LogCount::read(all, slot)).transpose()?,
                comment: None,
            })
        });
        Ok(Self {
            generation: loaded.metadata.generation,
            rules: rules.collect::<Result<_, Error>>()?,
            disabled: disabled.collect::<Result<_, Error>>()?,
            reasons: reasons.collect::<Result<_, Error>>()?,
            bans: Self::bans(config)?,
            flows: FlowStatus::read(config)?,
        })
    }

    fn bans(config: &Config) -> Result<Vec<CounterRow>, Error> {
        let reasons = bans::reasons(&config.pins)?;
        let shown = reasons.into_iter().filter(ReasonRow::is_shown);
        let rows = shown.map(|row| CounterRow {
            name: row.reason,
            direction: Direction::In.as_str().to_owned(),
            action: "drop".to_owned(),
            in_force: true,
            slot: None,
            count: row.count,
            rate: None,
            log: None,
            comment: None,
        });
        Ok(rows.collect())
    }

    /// Computes the rate of each counter since `before`, `elapsed` ago.
    pub fn compare(&mut self, before: &Self, elapsed: Duration) {
        compare(&mut self.rules, &before.rules, elapsed);
        compare(&mut self.disabled, &before.disabled, elapsed);
        compare(&mut self.reasons, &before.reasons, elapsed);
        compare(&mut self.bans, &before.bans, elapsed);
    }
}

impl LogCount {
    fn read(limiters: &LogLimiters, slot: Slot) -> Result<Self, EventsError> {
        // One that has none yet has emitted nothing.
        let limiter = limiters.get(slot)?.unwrap_or_default();
        Ok(Self {
            emitted: limiter.emitted,
            suppressed: limiter.suppressed,
            lost: limiter.lost,
        })
    }
}

fn compare(now: &mut [CounterRow], before: &[CounterRow], elapsed: Duration) {
    let before: HashMap<(&str, Option<Slot>), Count> = before
        .iter()
        .map(|row| ((row.name.as_str(), row.slot), row.count))
        .collect();
    for row in now {
        let earlier = before.get(&(row.name.as_str(), row.slot));
        let earlier = earlier.copied().unwrap_or_default();
        let delta = row.count.since(earlier);
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64();
        row.rate = Some(CounterRate {
            packets_per_second: per_second(delta.packets),
            bytes_per_second: per_second(delta.bytes),
        });
    }
}
