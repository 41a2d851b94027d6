//! `firewall counters`: what each rule, and each reason besides, has decided.

use std::{
    io::{self, IsTerminal as _, Write},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use firewall_ebpf::abi::{Direction, Reason};

use crate::{
    commands::{output::json_line, reports::read_or_ask},
    config::Config,
    control::protocol::ReportRequest,
    error::Error,
    kernel::counters::Count,
    observe::{
        counter_view::{CounterOrder, CounterView},
        counters::{CounterRate, CounterRow, CounterSnapshot, LogCount},
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
    /// Sort by packets or bytes, the largest first; with `--watch` by those since the last time
    #[arg(
        long,
        value_name = "KEY",
        num_args = 0..=1,
        default_missing_value = "packets",
        require_equals = true
    )]
    sort: Option<SortKey>,
    /// Leave out what has counted nothing; with `--watch` nothing since the last time
    #[arg(long)]
    nonzero: bool,
    /// Only this rule; can be given several times
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,
    /// Print what was passed and dropped in all, too
    #[arg(long)]
    total: bool,
}

/// A key of `--sort`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SortKey {
    Packets,
    Bytes,
}

impl From<SortKey> for CounterOrder {
    fn from(key: SortKey) -> Self {
        match key {
            SortKey::Packets => Self::Packets,
            SortKey::Bytes => Self::Bytes,
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected seconds, from 0.1 to 86400".into()),
    }
}

/// Prints the counters once, or repeatedly.
pub(crate) async fn run(config: &Config, args: CountersArgs) -> Result<(), Error> {
    let CountersArgs {
        json,
        watch,
        sort,
        nonzero,
        rules,
        total,
    } = args;
    let view = CounterView {
        rules,
        nonzero,
        sort: sort.map(Into::into),
        total,
    };
    let mut before = read(config).await?;
    print(before.clone(), &view, json, false)?;
    let Some(interval) = watch else {
        return Ok(());
    };
    let mut looked = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        let mut now = read(config).await?;
        let elapsed = looked.elapsed();
        looked = Instant::now();
        now.compare(&before, elapsed);
        print(now.clone(), &view, json, true)?;
        before = now;
    }
}

async fn read(config: &Config) -> Result<CounterSnapshot, Error> {
    let request = ReportRequest::Counters {};
    read_or_ask(config, request, async || CounterSnapshot::read(config)).await
}

fn log_in_words(log: LogCount) -> String {
    let mut words = format!("{} emitted", grouped(log.emitted));
    for (number, what) in [(log.suppressed, "suppressed"), (log.lost, "lost")] {
        if number > 0 {
            words = format!("{words}, {} {what}", grouped(number));
        }
    }
    words
}

fn print(
    mut snapshot: CounterSnapshot,
    view: &CounterView,
    json: bool,
    again: bool,
) -> Result<(), Error> {
    view.apply(&mut snapshot)?;
    let mut out = io::stdout().lock();
    let text = if json {
        json_line(&snapshot)?
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
        let flows = snapshot.flows.as_ref().map_or_else(String::new, |flows| {
            format!("\nflows       {}\n", flows.in_words())
        });
        format!("{clear}{apart}{}{flows}", table(&snapshot, view.sort))
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

/// The rules in their order, then the reasons that decided anything; the policy in force always. The direction is a column if
/// some row is of packets out.
fn table(snapshot: &CounterSnapshot, sort: Option<CounterOrder>) -> Table {
    let leaves = |row: &CounterRow| row.direction == Direction::Out.as_str();
    let all_rows = [&snapshot.rules, &snapshot.disabled, &snapshot.reasons];
    let rated = all_rows
        .iter()
        .any(|rows| rows.iter().any(|row| row.rate.is_some()));
    let directed = all_rows.into_iter().flatten().any(leaves);
    let mut columns = vec![("RULE", Alignment::Left)];
    if directed {
        columns.push(("DIRECTION", Alignment::Left));
    }
    columns.extend([
        ("ACTION", Alignment::Left),
        ("PACKETS", Alignment::Right),
        ("BYTES", Alignment::Right),
    ]);
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
        let is_policy = row.in_force && row.name == Reason::Policy.name();
        is_policy || row.count != Count::default()
    });
    let rules = snapshot.rules.iter().map(|row| (row.name.clone(), row));
    let disabled = snapshot.disabled.iter();
    let disabled = disabled.map(|row| (format!("{} (disabled)", row.name), row));
    let reasons = reasons.map(|row| (format!("({})", row.name), row));
    let bans = snapshot.bans.iter().map(|row| {
        let reason = if row.name.is_empty() {
            "no reason given"
        } else {
            &row.name
        };
        (format!("(banned: {reason})"), row)
    });
    let mut all: Vec<(String, &CounterRow)> =
        rules.chain(disabled).chain(reasons).chain(bans).collect();
    if let Some(order) = sort {
        order.sort(&mut all, |(_, row)| row);
    }
    for (name, row) in all {
        let mut cells = vec![name];
        if directed {
            cells.push(row.direction.clone());
        }
        cells.extend([
            row.action.clone(),
            grouped(row.count.packets),
            grouped(row.count.bytes),
        ]);
        if rated {
            let rate = |value: fn(&CounterRate) -> f64| {
                row.rate
                    .as_ref()
                    .map_or_else(String::new, |rate| grouped(value(rate).round() as u64))
            };
            cells.push(rate(|rate| rate.packets_per_second));
            cells.push(rate(|rate| rate.bytes_per_second));
        }
        if logs {
            cells.push(row.log.map_or_else(String::new, log_in_words));
        }
        table.row(cells);
    }
    let totals = snapshot.total.into_iter();
    for (action, count) in totals.flat_map(|total| [("pass", total.pass), ("drop", total.drop)]) {
        let mut cells = vec!["(total)".to_owned()];
        cells.extend(directed.then(String::new));
        cells.extend([
            action.to_owned(),
            grouped(count.packets),
            grouped(count.bytes),
        ]);
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{generation::Generation, slot::Slot};

    fn row(name: &str, slot: u32, packets: u64) -> CounterRow {
        CounterRow {
            name: name.into(),
            direction: "in".into(),
            action: "drop".into(),
            in_force: true,
            slot: Some(Slot::new(slot)),
            count: Count {
                packets,
                bytes: packets * 100,
            },
            rate: None,
            log: None,
            comment: None,
        }
    }

    fn snapshot(packets: u64) -> CounterSnapshot {
        CounterSnapshot {
            generation: Generation::FIRST,
            rules: vec![row("blocklist", 64, packets)],
            disabled: vec![row("telnet", 65, 5)],
            flows: None,
            total: None,
            reasons: vec![
                CounterRow {
                    action: "pass".into(),
                    in_force: false,
                    ..row("policy", 0, 3)
                },
                row("policy", 16, 0),
                row("malformed", 2, 0),
                row("truncated", 3, 1),
            ],
            bans: vec![CounterRow {
                slot: None,
                ..row("sshd", 0, 2)
            }],
        }
    }

    #[test]
    fn the_table_has_rules_then_policy_then_what_else_happened() {
        assert_eq!(
            table(&snapshot(1234), None).to_string(),
            "RULE               ACTION  PACKETS    BYTES\n\
             blocklist          drop      1,234  123,400\n\
             telnet (disabled)  drop          5      500\n\
             (policy)           pass          3      300\n\
             (policy)           drop          0        0\n\
             (truncated)        drop          1      100\n\
             (banned: sshd)     drop          2      200\n"
        );
    }

    #[test]
    fn the_direction_is_a_column_when_packets_out_are_filtered() {
        let mut snapshot = snapshot(1234);
        snapshot.rules.push(CounterRow {
            direction: "out".into(),
            ..row("smtp", 66, 7)
        });
        snapshot.reasons.push(CounterRow {
            direction: "out".into(),
            ..row("policy", 48, 4)
        });
        assert_eq!(
            table(&snapshot, None).to_string(),
            "RULE               DIRECTION  ACTION  PACKETS    BYTES\n\
             blocklist          in         drop      1,234  123,400\n\
             smtp               out        drop          7      700\n\
             telnet (disabled)  in         drop          5      500\n\
             (policy)           in         pass          3      300\n\
             (policy)           in         drop          0        0\n\
             (truncated)        in         drop          1      100\n\
             (policy)           out        drop          4      400\n\
             (banned: sshd)     in         drop          2      200\n"
        );
        let json = serde_json::to_value(&snapshot).unwrap();
        let out = [&json["rules"][1], &json["reasons"][4]].map(|row| &row["direction"]);
        assert_eq!(out, ["out", "out"]);
    }

    #[test]
    fn what_became_of_logged_packets_is_a_column_when_some_rule_logs() {
        let mut snapshot = snapshot(60);
        snapshot.rules[0].log = Some(LogCount {
            emitted: 50,
            suppressed: 1234,
            lost: 0,
        });
        let text = table(&snapshot, None).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("BYTES  LOG"), "{text}");
        assert!(
            lines[1].ends_with("6,000  50 emitted, 1,234 suppressed"),
            "{text}"
        );
        assert!(lines[4].ends_with(" 0"), "{text}");
        let json = serde_json::to_value(&snapshot.rules[0]).unwrap();
        let expected = serde_json::json!({"emitted": 50, "suppressed": 1234, "lost": 0});
        assert_eq!(json["log"], expected);
        let json = serde_json::to_value(&snapshot.reasons[0]).unwrap();
        assert!(json.get("log").is_none(), "{json}");
    }

    #[test]
    fn a_sorted_table_has_all_in_one_order_and_the_sum_at_its_end() {
        let mut snapshot = snapshot(2);
        let view = CounterView {
            sort: Some(CounterOrder::Packets),
            nonzero: true,
            total: true,
            ..CounterView::default()
        };
        view.apply(&mut snapshot).unwrap();
        assert_eq!(
            table(&snapshot, view.sort).to_string(),
            "RULE               ACTION  PACKETS  BYTES\n\
             telnet (disabled)  drop          5    500\n\
             (policy)           pass          3    300\n\
             blocklist          drop          2    200\n\
             (banned: sshd)     drop          2    200\n\
             (truncated)        drop          1    100\n\
             (total)            pass          3    300\n\
             (total)            drop          8    800\n"
        );
    }

    #[test]
    fn rates_are_since_the_last_look() {
        let mut now = snapshot(1500);
        now.reasons[0].count.packets += 8;
        now.compare(&snapshot(1000), Duration::from_secs(2));
        let rates = now.reasons.iter().filter_map(|row| row.rate);
        let rates: Vec<f64> = rates.map(|rate| rate.packets_per_second).collect();
        assert_eq!(rates, [4.0, 0.0, 0.0, 0.0]);
        let text = table(&now, None).to_string();
        let line = text.lines().nth(1).unwrap();
        assert!(
            line.ends_with("1,500  150,000        250   25,000"),
            "{line}"
        );
    }
}
