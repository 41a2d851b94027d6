//! `firewall diff`: which packets get different verdicts from two rule files.

use std::{collections::HashSet, fmt::Write as _, path::PathBuf};

use clap::Args;
use firewall_ebpf::abi::Reason;
use rules::{
    analysis::{
        self, Area, Budget, Change, Compare, CountChange, Decider, Diff, FieldValues, Undecided,
        Witness,
    },
    field::{FieldName, Form, State},
    model::{Direction, RuleId, Ruleset, Verdict},
};
use serde_json::{Value, json};
use tokio::task;

use crate::{
    commands::{args::AnalysisArgs, output},
    error::{Error, ExitStatus, UserError},
    logging::{
        lines::{tell, tell_progress},
        progress::Progress,
    },
    rule_file::{input::RuleInput, load},
    text::format::counted,
};

/// Show which packets get different verdicts from two rule files; needs no privileges
///
/// Each change is shown with the packets that it affects and an example. Packets are assumed to
/// arrive on the interfaces of either file. The exit status is 0 if every packet has the same verdict,
/// 1 if not, 3 if a file cannot be used, and 5 if not everything was decided within the budget.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Old rule file
    old: PathBuf,
    /// New rule file
    new: PathBuf,
    /// Also show changes in counting: packets that get the same verdict from another rule, and
    /// those that match rules which only count
    #[arg(long)]
    counting: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    analysis: AnalysisArgs,
}

/// The most regions of one change that are printed.
const MOST_AREAS: usize = 4;

/// The most names of rules that are printed in one line.
const MOST_NAMES: usize = 5;

/// Compares two rule files.
pub(crate) async fn run(args: DiffArgs) -> Result<ExitStatus, Error> {
    task::spawn_blocking(move || compare(&args)).await?
}

impl UserError for analysis::Contradiction {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::Undecided
    }
}

fn compare(args: &DiffArgs) -> Result<ExitStatus, Error> {
    let progress = Progress::told_to(tell_progress);
    let old = RuleInput::of_argument(&args.old)?;
    let old = load::load(&old, &progress)?.ruleset;
    let new = RuleInput::of_argument(&args.new)?;
    let new = load::load(&new, &progress)?.ruleset;
    progress.at("comparing the rules".to_owned());
    let compare = if args.counting {
        Compare::Deciders
    } else {
        Compare::Verdicts
    };
    let mut budget = Budget::new(args.analysis.budget);
    let diff = analysis::diff(&old, &new, compare, &mut budget)?;
    let comparison = Comparison {
        args,
        old: &old,
        new: &new,
        diff: &diff,
        steps: budget.spent(),
    };
    let text = if args.json {
        output::json(&comparison.to_json())?
    } else {
        comparison.to_text()
    };
    output::print_result(&text)?;
    tell("done", &comparison.summary());
    Ok(comparison.status())
}

/// Why a frame cannot be judged, as far as `[parser]` says what becomes of it.
const UNREADABLE: [Reason; 4] = [
    Reason::Malformed,
    Reason::Truncated,
    Reason::TooManyHeaders,
    Reason::TooManyTags,
];

/// What there is to print.
struct Comparison<'a> {
    args: &'a DiffArgs,
    old: &'a Ruleset,
    new: &'a Ruleset,
    diff: &'a Diff,
    steps: u64,
}

impl Comparison<'_> {
    fn status(&self) -> ExitStatus {
        if !self.diff.undecided.is_empty() {
            ExitStatus::Undecided
        } else if self.diff.changes_verdicts() || self.changed_settings() {
            ExitStatus::Refused
        } else {
            ExitStatus::Done
        }
    }

    fn changed_settings(&self) -> bool {
        self.changed_interfaces() || self.changed_parser().next().is_some()
    }

    fn changed_interfaces(&self) -> bool {
        self.old.settings.interfaces != self.new.settings.interfaces
    }

    /// The reasons why a frame in cannot be judged over which the verdict changes. Of frames out, the
    /// policy decides.
    fn changed_parser(&self) -> impl Iterator<Item = (Reason, [Verdict; 2])> {
        let verdicts = |reason| {
            [self.old, self.new].map(|set| set.settings.verdict_for(Direction::In, reason))
        };
        UNREADABLE
            .into_iter()
            .map(move |reason| (reason, verdicts(reason)))
            .filter(|(_, [old, new])| old != new)
    }

    fn summary(&self) -> String {
        let DiffArgs { old, new, .. } = self.args;
        let verdicts = self.verdicts().count();
        let found = match (verdicts, self.diff.undecided.is_empty()) {
            (0, true) if self.changed_parser().next().is_some() => {
                "give every packet that can be parsed the same verdict, and differ in `[parser]`"
                    .to_owned()
            }
            (0, true) if self.changed_interfaces() => {
                "give every packet the same verdict, and attach to different interfaces".to_owned()
            }
            (0, true) => "give every packet the same verdict".to_owned(),
            (0, false) => "may differ: the budget ran out before everything was decided".to_owned(),
            (count, true) => format!("differ in {}", counted(count, "change")),
            (count, false) => format!(
                "differ in at least {}: the budget ran out before everything was decided",
                counted(count, "change")
            ),
        };
        let help = if self.diff.undecided.is_empty() {
            ""
        } else {
            "\nhelp: `--budget` allows more steps"
        };
        let (old, new) = (old.display(), new.display());
        let steps = counted(self.steps, "step");
        format!("`{old}` and `{new}` {found} ({steps}){help}")
    }

    fn verdicts(&self) -> impl Iterator<Item = &Change> {
        self.diff
            .changes
            .iter()
            .filter(|change| change.changes_verdict())
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        if self.changed_interfaces() {
            let [old, new] = [self.old, self.new].map(|set| quoted(interfaces(set)).join(", "));
            line(&mut text, format_args!("attached to {old} -> {new}"));
        }
        for (reason, verdicts) in self.changed_parser() {
            let [old, new] = verdicts.map(Verdict::as_str);
            line(
                &mut text,
                format_args!("`{}` frames: {old} -> {new}", reason.name()),
            );
        }
        for change in self.verdicts() {
            self.change(&mut text, change);
        }
        let mut elsewhere = self
            .diff
            .changes
            .iter()
            .filter(|c| !c.changes_verdict())
            .peekable();
        if elsewhere.peek().is_some() {
            gap(&mut text);
            line(
                &mut text,
                format_args!("the same verdict from another rule:"),
            );
        }
        for change in elsewhere {
            let such = change.areas.first().map(|area| shown(&area.witness));
            let (old, new) = (
                self.decider(self.old, change.old),
                self.decider(self.new, change.new),
            );
            line(
                &mut text,
                format_args!("  {old} -> {new}, such as: {}", such.unwrap_or_default()),
            );
        }
        for CountChange { name, lost, gained } in &self.diff.counts {
            gap(&mut text);
            line(&mut text, format_args!("`{name}` counts other packets"));
            for (witness, words) in [(lost, "no longer,"), (gained, "now also,")] {
                if let Some(witness) = witness {
                    line(
                        &mut text,
                        format_args!("  {words} such as: {}", shown(witness)),
                    );
                }
            }
        }
        if !self.diff.undecided.is_empty() {
            gap(&mut text);
            line(
                &mut text,
                format_args!("not decided; everything else is shown above:"),
            );
        }
        for undecided in &self.diff.undecided {
            line(&mut text, format_args!("  {}", self.undecided(undecided)));
        }
        text
    }

    fn change(&self, text: &mut String, change: &Change) {
        gap(text);
        let (old, new) = (
            self.decider(self.old, change.old),
            self.decider(self.new, change.new),
        );
        line(text, format_args!("{old} -> {new}"));
        if change.is_swap {
            line(text, format_args!("  the two rules have changed places"));
        }
        for area in change.areas.iter().take(MOST_AREAS) {
            line(
                text,
                format_args!("  {}{}", area.packets.name(), region(&area.fields)),
            );
            if let Some(except) = self.except(area) {
                line(
                    text,
                    format_args!("    except those decided earlier by {except}"),
                );
            }
            line(text, format_args!("    such as: {}", shown(&area.witness)));
        }
        if let more @ 1.. = change.areas.len().saturating_sub(MOST_AREAS) {
            line(
                text,
                format_args!("  and {}; `--json` has all", counted(more, "more region")),
            );
        }
    }

    /// What takes packets of an area before, in words.
    fn except(&self, area: &Area) -> Option<String> {
        let mut rules = quoted(self.excepted(area).into_iter());
        let mut seen = HashSet::new();
        rules.retain(|rule| seen.insert(rule.clone()));
        let more = rules.len().saturating_sub(MOST_NAMES);
        let mut words: Vec<String> = rules.into_iter().take(MOST_NAMES).collect();
        if more > 0 {
            words.push(counted(more, "more rule"));
        }
        if area.excepts_neighbors() {
            words.push("the exception for neighbors".to_owned());
        }
        (!words.is_empty()).then(|| words.join(", "))
    }

    fn excepted(&self, area: &Area) -> Vec<&str> {
        let sides = [(self.old, &area.except_old), (self.new, &area.except_new)];
        let ids = sides
            .into_iter()
            .flat_map(|(set, ids)| ids.iter().map(move |id| (set, *id)));
        ids.map(|(set, id)| name(set, id)).collect()
    }

    fn decider(&self, ruleset: &Ruleset, (decider, verdict): (Decider, Verdict)) -> String {
        format!("{} by {}", verdict.as_str(), by(ruleset, decider))
    }

    fn undecided(&self, undecided: &Undecided) -> String {
        match undecided {
            Undecided::Change {
                old,
                new,
                packets,
                fields,
            } => format!(
                "whether packets go from {} to {}: {}{}",
                by(self.old, *old),
                by(self.new, *new),
                packets.name(),
                region(fields)
            ),
            Undecided::Old(decider, packets) => format!(
                "{} packets that {} decided in the old rules",
                packets.name(),
                by(self.old, *decider)
            ),
            Undecided::New(decider, packets) => format!(
                "{} packets that {} decides in the new rules",
                packets.name(),
                by(self.new, *decider)
            ),
            Undecided::Counted(name, packets) => {
                format!("{} packets that `{name}` counts", packets.name())
            }
            Undecided::All(packets) => format!("all packets: {}", packets.name()),
        }
    }

    fn to_json(&self) -> Value {
        let interfaces = [self.old, self.new].map(|set| interfaces(set).collect::<Vec<_>>());
        let changes = self.diff.changes.iter().map(|change| {
            json!({
                "old": decider_json(self.old, change.old),
                "new": decider_json(self.new, change.new),
                "changes_verdict": change.changes_verdict(),
                "swapped": change.is_swap,
                "regions": change.areas.iter().map(|area| self.area_json(area)).collect::<Vec<_>>(),
            })
        });
        let counts = self.diff.counts.iter().map(|of| {
            json!({
                "rule": of.name,
                "no_longer": of.lost.as_ref().map(witness_json),
                "now_also": of.gained.as_ref().map(witness_json),
            })
        });
        let undecided = self
            .diff
            .undecided
            .iter()
            .map(|undecided| self.undecided(undecided));
        json!({
            "same": self.status() == ExitStatus::Done,
            "decided": self.diff.undecided.is_empty(),
            "steps": self.steps,
            "interfaces": { "old": interfaces[0], "new": interfaces[1] },
            "parser": self
                .changed_parser()
                .map(|(reason, verdicts)| {
                    let [old, new] = verdicts.map(Verdict::as_str);
                    (reason.name().to_owned(), json!({ "old": old, "new": new }))
                })
                .collect::<serde_json::Map<_, _>>(),
            "changes": changes.collect::<Vec<_>>(),
            "counts": counts.collect::<Vec<_>>(),
            "undecided": undecided.collect::<Vec<_>>(),
        })
    }

    fn area_json(&self, area: &Area) -> Value {
        let fields = area.fields.iter().map(|of| {
            let values = json!({ "values": of.values, "more": of.more });
            (of.field.to_owned(), values)
        });
        let names = |set: &Ruleset, ids: &[RuleId]| -> Vec<String> {
            ids.iter().map(|id| name(set, *id).to_owned()).collect()
        };
        json!({
            "packets": area.packets.name(),
            "fields": Value::Object(fields.collect()),
            "except": {
                "old": names(self.old, &area.except_old),
                "new": names(self.new, &area.except_new),
                "neighbors": area.excepts_neighbors(),
            },
            "witness": witness_json(&area.witness),
        })
    }
}

/// A packet in the notation, and its state unless it is new.
fn shown(witness: &Witness) -> String {
    match witness.state() {
        Some(state) if state != State::New => format!("{witness} ({})", state.as_str()),
        Some(_) | None => witness.to_string(),
    }
}

fn witness_json(witness: &Witness) -> Value {
    let fields = witness.fields();
    let mut described = json!({
        "packet": witness.to_string(),
        "direction": witness.context.direction.as_str(),
        "interface": witness.context.interface,
        "in_interface": witness.context.in_interface,
        "mark": witness.context.mark,
        "state": witness.state().map(State::as_str),
        "src_mac": witness.src_mac.to_string(),
        "dst_mac": witness.dst_mac.to_string(),
        "vlan": fields.vlan,
        "ethertype": fields.ethertype,
        "src": fields.src.map(|address| address.to_string()),
        "dst": fields.dst.map(|address| address.to_string()),
        "proto": fields.protocol,
        "sport": fields.sport,
        "dport": fields.dport,
        "tcp_flags": fields.tcp_flags,
        "icmp_type": fields.icmp.map(|message| message >> 8),
        "icmp_code": fields.icmp.map(|message| message & 0xff),
        "ip_option": fields.ip_options,
        "fragment": fields.is_fragment,
    });
    for field in FieldName::ALL {
        if let Form::Length(_) | Form::Number(_) = field.form() {
            described[field.as_str()] = json!(fields.number(*field));
        }
    }
    described
}

fn decider_json(ruleset: &Ruleset, (decider, verdict): (Decider, Verdict)) -> Value {
    let (kind, name) = match decider {
        Decider::Rule(id) => ("rule", Some(name(ruleset, id))),
        Decider::Neighbor => ("neighbor", None),
        Decider::Policy(Direction::In) => ("policy", None),
        Decider::UnknownEthertype(Direction::In) => ("unknown_ethertype", None),
        Decider::Policy(Direction::Out) | Decider::UnknownEthertype(Direction::Out) => {
            ("policy_out", None)
        }
    };
    json!({ "by": kind, "rule": name, "verdict": verdict.as_str() })
}

fn by(ruleset: &Ruleset, decider: Decider) -> String {
    match decider {
        Decider::Rule(id) => format!("`{}`", name(ruleset, id)),
        Decider::Neighbor => "the exception for neighbors".to_owned(),
        Decider::Policy(Direction::In) => "the policy".to_owned(),
        Decider::UnknownEthertype(Direction::In) => "`unknown_ethertype`".to_owned(),
        Decider::Policy(Direction::Out) | Decider::UnknownEthertype(Direction::Out) => {
            "`policy_out`".to_owned()
        }
    }
}

fn name(ruleset: &Ruleset, id: RuleId) -> &str {
    ruleset
        .rules
        .get(id.0 as usize)
        .map_or("", |rule| rule.name.as_str())
}

/// The values of fields, behind the name of the family.
fn region(fields: &[FieldValues]) -> String {
    if fields.is_empty() {
        return ", all packets".to_owned();
    }
    let fields = fields.iter().map(
        |FieldValues {
             field,
             values,
             more,
         }| {
            let rest = if *more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{field} {}{rest}", values.join(", "))
        },
    );
    format!(": {}", fields.collect::<Vec<_>>().join("; "))
}

fn interfaces(ruleset: &Ruleset) -> impl Iterator<Item = &str> {
    ruleset
        .settings
        .interfaces
        .iter()
        .map(|pattern| pattern.as_str())
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words.map(|word| format!("`{word}`")).collect()
}

fn gap(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{words}");
}
