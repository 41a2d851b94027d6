//! `firewall check --plan`: which tables the image of a rule file has, and what they cost.

use std::{collections::BTreeMap, path::Path};

use firewall_ebpf::image::{MAX_COUNTS, MAX_LIST, MAX_WALK};
use rules::{
    compiler::{Part, SectionPlan},
    field::State,
};
use serde::Serialize;

use crate::{
    candidate::{budget::Budget, compile::Candidate},
    error::Error,
    kernel::{counters::Counters, flows::FlowTable},
    text::format::{Alignment, Table, bytes, counted, grouped},
};

/// The tables of one image.
#[derive(Serialize)]
pub(crate) struct Tables {
    file: String,
    rules: usize,
    image_bytes: usize,
    /// The length of the image map, a power of two.
    map_bytes: u32,
    /// The largest image map that is allowed.
    allowed_bytes: u32,
    /// The memory of the counters, on all CPUs.
    counters_bytes: u64,
    /// The table of flows, if rules ask for states.
    #[serde(skip_serializing_if = "Option::is_none")]
    flows: Option<FlowsCost>,
    /// The most loads from the image that one packet needs.
    loads: u32,
    bounds: Bounds,
    sections: Vec<Section>,
}

/// What the program itself allows, whatever the rules.
#[derive(Serialize)]
struct Bounds {
    max_walk: u32,
    max_list: u32,
    max_counts: u32,
}

/// The table of flows.
#[derive(Serialize)]
struct FlowsCost {
    max: u32,
    bytes: u64,
    /// Those that looking up packets touches when it is full.
    bytes_looked_up: u64,
}

#[derive(Serialize)]
struct Section {
    direction: &'static str,
    packets: String,
    /// The states that the section is for; left out if it is for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<Vec<&'static str>>,
    /// All of these, for people.
    #[serde(skip)]
    shown: String,
    rules: usize,
    decision: &'static str,
    bytes: usize,
    loads: u32,
    expected_nanoseconds: u32,
    parts: Vec<PartCost>,
}

#[derive(Serialize)]
struct PartCost {
    name: &'static str,
    structure: &'static str,
    #[serde(skip)]
    shown: String,
    holds: BTreeMap<String, usize>,
    bytes: usize,
    loads: u32,
    expected_nanoseconds: u32,
}

impl Tables {
    /// The tables of `candidate`, which was compiled from the file at `path`.
    pub(crate) fn new(path: &Path, candidate: &Candidate, budget: Budget) -> Result<Self, Error> {
        let plan = candidate.image().plan();
        Ok(Self {
            file: path.display().to_string(),
            rules: candidate.ruleset().rules.len(),
            image_bytes: plan.bytes,
            map_bytes: candidate.size.bytes(),
            allowed_bytes: budget.largest_map().bytes(),
            counters_bytes: Counters::memory(candidate.assignment.capacity)?,
            flows: flows(candidate),
            loads: plan.loads(),
            bounds: Bounds {
                max_walk: MAX_WALK,
                max_list: MAX_LIST,
                max_counts: MAX_COUNTS,
            },
            sections: plan.sections.iter().map(Section::new).collect(),
        })
    }

    /// As a reader at a terminal wants it.
    pub(crate) fn to_text(&self) -> String {
        let Self {
            image_bytes,
            map_bytes,
            allowed_bytes,
            counters_bytes,
            flows,
            loads,
            bounds,
            ..
        } = self;
        let map = bytes((*map_bytes).into());
        let mut lines = vec![
            format!(
                "image     {} in a map of {map}, at most {} allowed",
                bytes(*image_bytes as u64),
                bytes((*allowed_bytes).into())
            ),
            format!(
                "memory    {}, of which {} are counters; the previous generation keeps {map} more, and a \
                 reload temporarily needs as much again",
                bytes(u64::from(*map_bytes) + counters_bytes),
                bytes(*counters_bytes)
            ),
            format!(
                "worst     {} from the image for one packet",
                counted(*loads, "load")
            ),
            format!(
                "bounds    {} steps over rows, {} rules in a list, {} rules that count in a cell",
                bounds.max_walk, bounds.max_list, bounds.max_counts
            ),
        ];
        if let Some(flows) = flows {
            lines.push(format!(
                "flows     at most {} in {}, of which look-ups touch {} when all are there",
                grouped(flows.max.into()),
                bytes(flows.bytes),
                bytes(flows.bytes_looked_up)
            ));
        }
        for section in &self.sections {
            lines.push(String::new());
            lines.push(section.to_text());
        }
        lines.join("\n") + "\n"
    }
}

fn flows(candidate: &Candidate) -> Option<FlowsCost> {
    let ruleset = candidate.ruleset();
    let max = ruleset.settings.flows.max;
    ruleset.asks_for_states().then(|| FlowsCost {
        max,
        bytes: FlowTable::memory(max),
        bytes_looked_up: FlowTable::memory_of_look_ups(max),
    })
}

impl Section {
    fn new(plan: &SectionPlan) -> Self {
        Self {
            direction: plan.direction.as_str(),
            packets: plan.packets.to_string(),
            states: plan
                .states
                .map(|states| states.iter().map(State::as_str).collect()),
            shown: plan.kind().to_string(),
            rules: plan.rules,
            decision: plan.decision(),
            bytes: plan.bytes(),
            loads: plan.loads(),
            expected_nanoseconds: plan.nanoseconds(),
            parts: plan.parts.iter().map(PartCost::new).collect(),
        }
    }

    fn to_text(&self) -> String {
        let mut table = Table::new(&[
            ("PART", Alignment::Left),
            ("STRUCTURE", Alignment::Left),
            ("HOLDS", Alignment::Left),
            ("MEMORY", Alignment::Right),
            ("LOADS", Alignment::Right),
            ("NS", Alignment::Right),
        ]);
        for part in &self.parts {
            table.row([
                part.name.to_owned(),
                part.structure.to_owned(),
                part.shown.clone(),
                bytes(part.bytes as u64),
                part.loads.to_string(),
                part.expected_nanoseconds.to_string(),
            ]);
        }
        format!(
            "{}: {}, decided by {}, {}, at most {}, about {} ns\n{}",
            self.shown,
            counted(self.rules, "rule"),
            self.decision,
            bytes(self.bytes as u64),
            counted(self.loads, "load"),
            self.expected_nanoseconds,
            table.to_string().trim_end(),
        )
    }
}

impl PartCost {
    fn new(part: &Part) -> Self {
        let holds = part.holds();
        let shown = holds
            .iter()
            .map(|(what, count)| format!("{} {what}", grouped(*count as u64)));
        Self {
            name: part.name(),
            structure: part.structure(),
            shown: shown.collect::<Vec<_>>().join(", "),
            holds: holds
                .into_iter()
                .map(|(what, count)| (what.replace(' ', "_"), count))
                .collect(),
            bytes: part.bytes(),
            loads: part.loads(),
            expected_nanoseconds: part.nanoseconds(),
        }
    }
}
