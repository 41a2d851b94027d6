//! `firewall counters`: what each rule, and each reason besides, has decided.

use std::{
    io::{self, IsTerminal as _, Write},
    time::{Duration, Instant},
};

use clap::Args;
use firewall_ebpf::abi::Reason;
use serde::Serialize;

use crate::{
    commands::bans::{self, ReasonRow},
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
    text::format::{Alignment, Table, grouped},
};

/// Show how many packets each rule decided
#[derive(Debug, Args)]
pub(crate) struct CountersArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print repeatedly, with rates
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "1",
        value_parser = interval
    )]
    pub(crate) watch: Option<Duration>,
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected seconds, from 0.1 to 86400".into()),
    }
}

/// The counters at one time.
#[derive(Clone, Debug, Serialize)]
struct Snapshot {
    generation: Generation,
    rules: Vec<Row>,
    reasons: Vec<Row>,
    /// What was dropped for each reason of a ban.
    bans: Vec<Row>,
}

/// One counter.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    action: String,
    /// `None` for reasons of bans, which are counted elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<Slot>,
    #[serde(flatten)]
    count: Count,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    /// `None` when it does not log.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Log>,
}

/// What became of the packets of a rule that logs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Log {
    /// Those that were emitted.
    emitted: u64,
    /// Those that came faster than the rule logs.
    suppressed: u64,
    /// Those that came faster than the daemon reads.
    lost: u64,
}

/// What was counted in a second, on average since the last look.
#[derive(Clone, Copy, Debug, Serialize)]
struct Rate {
    packets_per_second: f64,
    bytes_per_second: f64,
}

/// Prints the counters once, or repeatedly.
pub(crate) async fn run(config: &Config, args: CountersArgs) -> Result<(), Error> {
    let CountersArgs { json, watch } = args;
    let mut before = snapshot(config)?;
    print(&before, json, false)?;
    let Some(interval) = watch else {
        return Ok(());
    };
    let mut looked = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        let mut now = snapshot(config)?;
        let elapsed = looked.elapsed();
        looked = Instant::now();
        now.compare(&before, elapsed);
        print(&now, json, true)?;
        before = now;
    }
}

/// Reads the counters; again when another generation came into force meanwhile.
fn snapshot(config: &Config) -> Result<Snapshot, Error> {
    loop {
        let loaded = in_force::read(config)?;
        let counters = Counters::open(&config.pins.object(PinnedObject::Counters))?;
        let mut snapshot = Snapshot::read(config, &loaded, &counters)?;
        snapshot.bans = bans(config)?;
        if in_force::read(config)?.metadata.generation == snapshot.generation {
            return Ok(snapshot);
        }
    }
}

fn bans(config: &Config) -> Result<Vec<Row>, Error> {
    let reasons = bans::reasons(&config.pins)?;
    let shown = reasons.into_iter().filter(ReasonRow::is_shown);
    let rows = shown.map(|row| Row {
        name: row.reason,
        action: "drop".to_owned(),
        slot: None,
        count: row.count,
        rate: None,
        log: None,
    });
    Ok(rows.collect())
}

impl Snapshot {
    fn read(config: &Config, loaded: &Loaded, counters: &Counters) -> Result<Self, Error> {
        let entries = &loaded.metadata.rules;
        let some_log = entries.iter().any(|rule| rule.log.is_some());
        let watches = some_log
            .then(|| LogLimiters::open(&config.pins))
            .transpose()?;
        let rules = entries.iter().map(|rule| {
            let watches = watches.as_ref().filter(|_| rule.log.is_some());
            Ok(Row {
                name: rule.name.clone(),
                action: rule.action.clone(),
                slot: Some(rule.slot),
                count: counters.read(rule.slot)?,
                rate: None,
                log: watches.map(|all| Log::read(all, rule.slot)).transpose()?,
            })
        });
        let reasons = Reason::ALL.iter().map(|reason| {
            let slot = Slot::new(reason.slot());
            let drops = loaded.description.drops & (1 << reason.slot()) != 0;
            Ok(Row {
                name: reason.name().to_owned(),
                action: if drops { "drop" } else { "pass" }.to_owned(),
                slot: Some(slot),
                count: counters.read(slot)?,
                rate: None,
                log: None,
            })
        });
        Ok(Self {
            generation: loaded.metadata.generation,
            rules: rules.collect::<Result<_, Error>>()?,
            reasons: reasons.collect::<Result<_, Error>>()?,
            bans: Vec::new(),
        })
    }

    fn compare(&mut self, before: &Self, elapsed: Duration) {
        compare(&mut self.rules, &before.rules, elapsed);
        compare(&mut self.reasons, &before.reasons, elapsed);
        compare(&mut self.bans, &before.bans, elapsed);
    }
}

impl Log {
    fn read(limiters: &LogLimiters, slot: Slot) -> Result<Self, EventsError> {
        // One that has none yet has emitted nothing.
        let limiter = limiters.watch(slot)?.unwrap_or_default();
        Ok(Self {
            emitted: limiter.emitted,
            suppressed: limiter.suppressed,
            lost: limiter.lost,
        })
    }

    fn in_words(self) -> String {
        let mut words = format!("{} emitted", grouped(self.emitted));
        for (number, what) in [(self.suppressed, "suppressed"), (self.lost, "lost")] {
            if number > 0 {
                words = format!("{words}, {} {what}", grouped(number));
            }
        }
        words
    }
}

fn compare(now: &mut [Row], before: &[Row], elapsed: Duration) {
    let before: std::collections::HashMap<&str, Count> = before
        .iter()
        .map(|row| (row.name.as_str(), row.count))
        .collect();
    for row in now {
        let earlier = before.get(row.name.as_str()).copied().unwrap_or_default();
        let delta = row.count.since(earlier);
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64();
        row.rate = Some(Rate {
            packets_per_second: per_second(delta.packets),
            bytes_per_second: per_second(delta.bytes),
        });
    }
}

fn print(snapshot: &Snapshot, json: bool, again: bool) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let text = if json {
        serde_json::to_string(snapshot).map_err(|error| Error::Output(error.into()))? + "\n"
    } else {
        // On a terminal each table takes the place of the one before.
        let clear = if again && out.is_terminal() {
            "\x1b[H\x1b[2J"
        } else {
            ""
        };
        let apart = if again && !out.is_terminal() {
            "\n"
        } else {
            ""
        };
        format!("{clear}{apart}{}", table(snapshot))
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

/// The rules in their order, then the reasons that decided anything; the policy always.
fn table(snapshot: &Snapshot) -> Table {
    let rated = snapshot.reasons.iter().any(|row| row.rate.is_some());
    let mut columns = vec![
        ("RULE", Alignment::Left),
        ("ACTION", Alignment::Left),
        ("PACKETS", Alignment::Right),
        ("BYTES", Alignment::Right),
    ];
    if rated {
        columns.push(("PACKETS/S", Alignment::Right));
        columns.push(("BYTES/S", Alignment::Right));
    }
    let logs = snapshot.rules.iter().any(|row| row.log.is_some());
    if logs {
        columns.push(("LOG", Alignment::Left));
    }
    let mut table = Table::new(&columns);
    let reasons = snapshot.reasons.iter().filter(|row| {
        row.slot == Some(Slot::new(Reason::Policy.slot())) || row.count != Count::default()
    });
    let rules = snapshot.rules.iter().map(|row| (row.name.clone(), row));
    let reasons = reasons.map(|row| (format!("({})", row.name), row));
    let bans = snapshot.bans.iter().map(|row| {
        let reason = if row.name.is_empty() {
            "no reason given"
        } else {
            &row.name
        };
        (format!("(banned: {reason})"), row)
    });
    for (name, row) in rules.chain(reasons).chain(bans) {
        let mut cells = vec![
            name,
            row.action.clone(),
            grouped(row.count.packets),
            grouped(row.count.bytes),
        ];
        if rated {
            let rate = |value: fn(&Rate) -> f64| {
                row.rate
                    .as_ref()
                    .map_or_else(String::new, |rate| grouped(value(rate).round() as u64))
            };
            cells.push(rate(|rate| rate.packets_per_second));
            cells.push(rate(|rate| rate.bytes_per_second));
        }
        if logs {
            cells.push(row.log.map_or_else(String::new, Log::in_words));
        }
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, slot: u32, packets: u64) -> Row {
        Row {
            name: name.into(),
            action: "drop".into(),
            slot: Some(Slot::new(slot)),
            count: Count {
                packets,
                bytes: packets * 100,
            },
            rate: None,
            log: None,
        }
    }

    fn snapshot(packets: u64) -> Snapshot {
        Snapshot {
            generation: Generation::FIRST,
            rules: vec![row("blocklist", 32, packets)],
            reasons: vec![
                row("policy", 0, 0),
                row("malformed", 2, 0),
                row("truncated", 3, 1),
            ],
            bans: vec![Row {
                slot: None,
                ..row("sshd", 0, 2)
            }],
        }
    }

    #[test]
    fn the_table_has_rules_then_policy_then_what_else_happened() {
        assert_eq!(
            table(&snapshot(1234)).to_string(),
            "RULE            ACTION  PACKETS    BYTES\n\
             blocklist       drop      1,234  123,400\n\
             (policy)        drop          0        0\n\
             (truncated)     drop          1      100\n\
             (banned: sshd)  drop          2      200\n"
        );
    }

    #[test]
    fn what_became_of_logged_packets_is_a_column_when_some_rule_logs() {
        let mut snapshot = snapshot(60);
        snapshot.rules[0].log = Some(Log {
            emitted: 50,
            suppressed: 1234,
            lost: 0,
        });
        let text = table(&snapshot).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("BYTES  LOG"), "{text}");
        assert!(
            lines[1].ends_with("6,000  50 emitted, 1,234 suppressed"),
            "{text}"
        );
        assert!(lines[2].ends_with(" 0"), "{text}");
        let json = serde_json::to_value(&snapshot.rules[0]).unwrap();
        let expected = serde_json::json!({"emitted": 50, "suppressed": 1234, "lost": 0});
        assert_eq!(json["log"], expected);
        let json = serde_json::to_value(&snapshot.reasons[0]).unwrap();
        assert!(json.get("log").is_none(), "{json}");
    }

    #[test]
    fn rates_are_since_the_last_look() {
        let mut now = snapshot(1500);
        now.compare(&snapshot(1000), Duration::from_secs(2));
        let text = table(&now).to_string();
        let line = text.lines().nth(1).unwrap();
        assert!(
            line.ends_with("1,500  150,000        250   25,000"),
            "{line}"
        );
    }
}
