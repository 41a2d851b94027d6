//! What became of the packets of a capture, by rule.

use std::collections::BTreeMap;

use firewall_ebpf::abi::Reason;
use rules::{
    evaluator::{Evaluation, Outcome},
    model::{RuleId, Verdict},
};
use serde::Serialize;

use crate::{
    commands::explain::{explainer::Explainer, packets::Packet},
    text::format::{Alignment, Table, counted, grouped},
};

/// Packets, by what decided about them. Its memory depends on the number of rules alone.
#[derive(Default)]
pub(super) struct VerdictTally {
    all: Total,
    partial: u64,
    rows: BTreeMap<Row, Total>,
    /// The packets that cannot be read, by the type of their link.
    skipped: BTreeMap<i32, u64>,
}

#[derive(Clone, Copy, Default)]
struct Total {
    packets: u64,
    bytes: u64,
}

impl Total {
    const fn add(&mut self, packet: &Packet) {
        self.packets += 1;
        self.bytes += packet.length as u64;
    }
}

/// What a packet is counted under: rules in their order, then reasons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Rule(RuleId, &'static str),
    Reason(Reason, &'static str),
}

impl VerdictTally {
    /// Adds a packet.
    pub(super) fn add(&mut self, packet: &Packet, evaluation: &Evaluation) {
        self.all.add(packet);
        self.partial += u64::from(!packet.is_whole());
        let verdict: Verdict = evaluation.verdict;
        let decided = match evaluation.outcome {
            Outcome::Rule(rule) => Row::Rule(rule, verdict.as_str()),
            Outcome::Reason(reason) => Row::Reason(reason, verdict.as_str()),
        };
        let counted = evaluation.counted.iter();
        for row in counted
            .map(|rule| Row::Rule(*rule, "count"))
            .chain([decided])
        {
            self.rows.entry(row).or_default().add(packet);
        }
    }

    /// Adds a packet from a link of a type that cannot be read.
    pub(super) fn skip(&mut self, link: i32) {
        *self.skipped.entry(link).or_default() += 1;
    }

    /// The summary, with the names of rules.
    pub(super) fn summary(&self, explainer: &Explainer<'_>) -> Summary {
        let rows = self.rows.iter().map(|(row, count)| {
            let (name, action) = match *row {
                Row::Rule(rule, action) => {
                    let name = explainer.rule_name(rule).unwrap_or_default();
                    (name.to_owned(), action)
                }
                Row::Reason(reason, action) => (reason.name().to_owned(), action),
            };
            let entry = Entry {
                name,
                action,
                packets: count.packets,
                bytes: count.bytes,
            };
            (matches!(row, Row::Rule(..)), entry)
        });
        let (rules, reasons): (Vec<_>, Vec<_>) = rows.partition(|(is_rule, _)| *is_rule);
        let entries = |rows: Vec<(bool, Entry)>| rows.into_iter().map(|(_, entry)| entry).collect();
        let skipped = self.skipped.iter();
        Summary {
            packets: self.all.packets,
            bytes: self.all.bytes,
            partial: self.partial,
            rules: entries(rules),
            reasons: entries(reasons),
            skipped: skipped
                .map(|(&link, &packets)| Skipped { link, packets })
                .collect(),
            states_unknown: explainer.metadata.flows.is_some(),
        }
    }
}

/// What became of packets.
#[derive(Serialize)]
pub(super) struct Summary {
    packets: u64,
    bytes: u64,
    /// How many of them were captured in part.
    partial: u64,
    /// By the rules that count or decide, in their order.
    rules: Vec<Entry>,
    /// By the reasons where no rule decides.
    reasons: Vec<Entry>,
    /// Those that are not among the packets.
    skipped: Vec<Skipped>,
    /// Whether rules ask for states, of which a capture says nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    states_unknown: bool,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    action: &'static str,
    packets: u64,
    bytes: u64,
}

/// Packets from links of a type that cannot be read.
#[derive(Serialize)]
struct Skipped {
    /// Its number (<https://www.tcpdump.org/linktypes.html>).
    link: i32,
    packets: u64,
}

impl Summary {
    /// The summary as a table.
    pub(super) fn to_text(&self) -> String {
        let packets = |number: u64| counted(number, "packet");
        let mut text = match self.packets {
            0 => "no packets\n".to_owned(),
            number => format!("\n{}, {}\n", packets(number), counted(self.bytes, "byte")),
        };
        if self.partial > 0 {
            text += &format!(
                "{} captured in part, and explained as if nothing followed\n",
                packets(self.partial)
            );
        }
        for Skipped {
            link,
            packets: number,
        } in &self.skipped
        {
            text += &format!(
                "{} skipped: links of type {link} cannot be read\n",
                packets(*number)
            );
        }
        if self.packets == 0 {
            return text;
        }
        if self.states_unknown {
            text += "rules ask for states, and a capture does not say which packets go out: all are taken as packets in, \
                     and as new\n";
        }
        let mut table = Table::new(&[
            ("RULE", Alignment::Left),
            ("ACTION", Alignment::Left),
            ("PACKETS", Alignment::Right),
            ("BYTES", Alignment::Right),
        ]);
        let rules = self.rules.iter().map(|entry| (entry.name.clone(), entry));
        let reasons = self.reasons.iter();
        for (name, entry) in rules.chain(reasons.map(|entry| (format!("({})", entry.name), entry)))
        {
            table.row([
                name,
                entry.action.to_owned(),
                grouped(entry.packets),
                grouped(entry.bytes),
            ]);
        }
        text + "\n" + &table.to_string()
    }
}
