//! What is told of a packet, as text and as JSON.

use std::collections::BTreeMap;

use rules::{
    Context, FieldName,
    evaluator::{Evaluation, Fields, Outcome, decode},
    explanation::{self, Explanation},
    field::State,
    model::{Rule, RuleId, Ruleset},
};
use serde::{Serialize, Serializer};

use crate::{
    commands::explain::{flows::StateShown, packets::Packet},
    generation::metadata::Metadata,
    observe::bans::BanEntry,
    text::format::{Alignment, Table, counted},
};

/// The most rules that are shown one by one.
const MOST_RULES: usize = 40;

/// All that is told.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(super) packets: Vec<Shown>,
}

/// What is told of one packet.
#[derive(Serialize)]
pub(crate) struct Shown {
    packet: String,
    bytes: usize,
    direction: &'static str,
    interface: Option<String>,
    /// What is read in it; nothing when it cannot be read to its end.
    #[serde(serialize_with = "as_map")]
    fields: Vec<Value>,
    /// Its state, if rules ask for any and it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateShown>,
    /// The rules down to the one that decides; `None` when their fields are not known.
    rules: Option<Vec<Met>>,
    /// The rules below that one that match, too.
    hidden: Vec<Named>,
    verdict: Decision,
    /// The ban that its source is under, before any rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    ban: Option<BanEntry>,
    /// What the evaluator says, when that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    disagrees: Option<Decision>,
    /// Whether a disagreement can have no other cause than a defect.
    #[serde(skip)]
    is_certain: bool,
}

/// A field of a packet.
struct Value {
    name: &'static str,
    value: String,
}

/// A rule that was looked at.
#[derive(Serialize)]
struct Met {
    #[serde(flatten)]
    rule: Named,
    action: &'static str,
    /// The first field that does not match.
    mismatch: Option<Mismatch>,
}

#[derive(Serialize)]
struct Mismatch {
    field: &'static str,
    /// What the packet has; `None` when it lacks the field.
    value: Option<String>,
}

/// A rule and its place.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip)]
    file: String,
}

/// What becomes of a packet.
#[derive(PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    pub(super) action: &'static str,
    pub(super) rule: Option<Named>,
    pub(super) reason: Option<&'static str>,
    /// The rules that count it before.
    counted: Vec<String>,
    /// Those of all of these rules that log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logged: Vec<String>,
}

impl Shown {
    /// What is told of a packet by rules that are known, for which the image says `verdict`, in
    /// other words `decision`.
    pub(super) fn explained(
        ruleset: &Ruleset,
        file: &str,
        packet: Packet,
        decision: Decision,
        verdict: &Evaluation,
        is_certain: bool,
    ) -> Self {
        let context = packet.named();
        let explanation = explanation::explain(ruleset, &packet.frame, &context);
        let tell = |evaluation: &Evaluation| Decision::by_rules(ruleset, file, evaluation);
        let rules = met(ruleset, file, &explanation, &context);
        let hidden = explanation.hidden.iter();
        Self {
            rules: Some(rules),
            hidden: hidden.filter_map(|id| named(ruleset, file, *id)).collect(),
            disagrees: (explanation.evaluation != *verdict).then(|| tell(&explanation.evaluation)),
            is_certain,
            ..Self::seen(packet, decision)
        }
    }

    /// What is told of a packet by an image whose rule file has changed.
    pub(super) fn judged(packet: Packet, decision: Decision) -> Self {
        Self::seen(packet, decision)
    }

    /// What is told of a packet whose source is banned.
    pub(super) fn banned(packet: Packet, decision: Decision, ban: BanEntry) -> Self {
        Self {
            rules: Some(Vec::new()),
            ban: Some(ban),
            ..Self::seen(packet, decision)
        }
    }

    fn seen(packet: Packet, verdict: Decision) -> Self {
        let context = packet.named();
        let fields = decode(&packet.frame)
            .map(|fields| values(&fields, &context))
            .unwrap_or_default();
        Self {
            packet: packet.origin,
            bytes: packet.frame.len(),
            direction: packet.context.direction.as_str(),
            interface: packet.context.interface,
            fields,
            state: None,
            rules: None,
            hidden: Vec::new(),
            verdict,
            ban: None,
            disagrees: None,
            is_certain: false,
        }
    }

    /// The same with the state of the packet, unless no rule is asked.
    pub(super) fn with_state(self, state: Option<StateShown>) -> Self {
        Self {
            state: state.filter(|_| self.ban.is_none()),
            ..self
        }
    }

    /// Whether walker and evaluator disagree, and nothing else explains it.
    pub(super) fn is_defect(&self) -> bool {
        self.is_certain && self.disagrees.is_some()
    }
}

fn as_map<S: Serializer>(fields: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|field| (field.name, &field.value)))
}

fn values(fields: &Fields, context: &Context<Option<&str>>) -> Vec<Value> {
    // Most rule sets do not ask for states, and a packet is new unless something else is said.
    let is_shown = |field: &&FieldName| **field != FieldName::State || context.state != State::New;
    let value = |field: &FieldName| {
        let value = explanation::value(*field, fields, context)?;
        let name = field.as_str();
        Some(Value { name, value })
    };
    let fields = FieldName::ALL.iter().filter(is_shown);
    fields.filter_map(value).collect()
}

fn met(
    ruleset: &Ruleset,
    file: &str,
    explanation: &Explanation,
    context: &Context<Option<&str>>,
) -> Vec<Met> {
    let Ok(fields) = &explanation.fields else {
        return Vec::new();
    };
    let rules = explanation.rules.iter().filter_map(|meeting| {
        let rule = rule(ruleset, meeting.rule)?;
        Some(Met {
            rule: named(ruleset, file, meeting.rule)?,
            action: rule.action.as_str(),
            mismatch: meeting.mismatch.map(|field| Mismatch {
                field: field.as_str(),
                value: explanation::value(field, fields, context),
            }),
        })
    });
    rules.collect()
}

fn rule(ruleset: &Ruleset, id: RuleId) -> Option<&Rule> {
    ruleset.rules.get(usize::try_from(id.0).ok()?)
}

fn named(ruleset: &Ruleset, file: &str, id: RuleId) -> Option<Named> {
    let rule = rule(ruleset, id)?;
    Some(Named {
        name: rule.name.clone(),
        line: Some(rule.place.line.get()),
        column: Some(rule.place.column.get()),
        file: file.to_owned(),
    })
}

/// The rules that count a packet, and the one that decides.
fn matched(evaluation: &Evaluation) -> impl Iterator<Item = RuleId> {
    let decider = match evaluation.outcome {
        Outcome::Rule(id) => Some(id),
        Outcome::Reason(_) => None,
    };
    evaluation.counted.iter().copied().chain(decider)
}

fn reason(evaluation: &Evaluation) -> Option<&'static str> {
    match evaluation.outcome {
        Outcome::Rule(_) => None,
        Outcome::Reason(reason) => Some(reason.name()),
    }
}

impl Decision {
    /// By an image whose rule file has changed.
    pub(super) fn by_metadata(metadata: &Metadata, evaluation: &Evaluation) -> Self {
        let rule = rule_name(metadata, evaluation).map(|name| Named {
            name,
            line: None,
            column: None,
            file: metadata.file.display().to_string(),
        });
        Self {
            action: evaluation.verdict.as_str(),
            rule,
            reason: reason(evaluation),
            counted: Vec::new(),
            logged: matched(evaluation)
                .filter_map(|id| metadata.rules.get(id.0 as usize))
                .filter(|rule| rule.log.is_some())
                .map(|rule| rule.name.clone())
                .collect(),
        }
    }

    /// By rules that are known.
    pub(super) fn by_rules(ruleset: &Ruleset, file: &str, evaluation: &Evaluation) -> Self {
        Self {
            action: evaluation.verdict.as_str(),
            rule: match evaluation.outcome {
                Outcome::Rule(id) => named(ruleset, file, id),
                Outcome::Reason(_) => None,
            },
            reason: reason(evaluation),
            counted: counted_rules(ruleset, evaluation),
            logged: matched(evaluation)
                .filter_map(|id| ruleset.rules.get(id.0 as usize))
                .filter(|rule| rule.log.is_some())
                .map(|rule| rule.name.clone())
                .collect(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let by = match (&self.rule, self.reason) {
            (Some(rule), _) => format!("the rule {}", rule.to_text()),
            (None, Some(reason)) => format!("the reason `{reason}`"),
            (None, None) => "a rule that there is not".to_owned(),
        };
        format!("{} by {by}", self.action)
    }
}

impl Named {
    fn to_text(&self) -> String {
        match self.line.zip(self.column) {
            Some((line, column)) => format!("`{}`, {}:{line}:{column}", self.name, self.file),
            None => format!("`{}` of {}", self.name, self.file),
        }
    }
}

impl Report {
    pub(super) fn to_text(&self) -> String {
        let packets: Vec<String> = self.packets.iter().map(Shown::to_text).collect();
        packets.join("\n")
    }
}

impl Shown {
    pub(super) fn to_text(&self) -> String {
        let mut text = format!(
            "packet   {}: {}\n",
            self.packet,
            counted(self.bytes, "byte")
        );
        if self.fields.is_empty() {
            text += "fields   none: it cannot be read to its end\n";
        } else {
            let fields = self.fields.iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{} {}", field.name, field.value))
                .collect();
            text += &format!("fields   {}\n", fields.join(", "));
        }
        if let Some(state) = &self.state {
            text += &format!("state    {}\n", state.to_text());
        }
        if let Some(rules) = &self.rules {
            text += &rules_as_text(rules);
        } else {
            text += "rules    not known: the rule file is not what it was when it was loaded\n";
        }
        if let Some(ban) = &self.ban {
            text += &format!("ban      {}; no rule is asked\n", ban.to_text());
        }
        text += &format!("verdict  {}\n", self.verdict.to_text());
        if !self.verdict.counted.is_empty() {
            text += &format!("counted  by `{}`\n", self.verdict.counted.join("`, `"));
        }
        if !self.verdict.logged.is_empty() {
            let rules = self.verdict.logged.join("`, `");
            text += &format!("logged   by `{rules}`, within the limit\n");
        }
        for rule in self.hidden.iter().take(MOST_RULES) {
            text += &format!("also     {} matches, but comes later\n", rule.to_text());
        }
        if let Some(other) = &self.disagrees {
            let cause = if self.is_certain {
                "this is a defect of this software: report it with the rule file and the packet"
            } else {
                "a list file has changed since it was loaded, or this is a defect of this software"
            };
            text += &format!(
                "DEFECT   the reference evaluator says {}: {cause}\n",
                other.to_text()
            );
        }
        text
    }
}

/// The rules one by one, or when they are many, how many fail by each field.
fn rules_as_text(rules: &[Met]) -> String {
    let matching = |met: &&Met| met.mismatch.is_none();
    if rules.is_empty() {
        return String::new();
    }
    let (shown, counts) = if rules.len() > MOST_RULES {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for mismatch in rules.iter().filter_map(|met| met.mismatch.as_ref()) {
            *counts.entry(mismatch.field).or_default() += 1;
        }
        (rules.iter().filter(matching).collect::<Vec<_>>(), counts)
    } else {
        (rules.iter().collect(), BTreeMap::new())
    };
    let mut text = String::new();
    for (field, count) in counts {
        text += &format!(
            "rules    {} not matched first in `{field}`\n",
            counted(count, "rule")
        );
    }
    let mut table = Table::new(&[
        ("RULE", Alignment::Left),
        ("ACTION", Alignment::Left),
        ("LINE", Alignment::Right),
        ("MATCHES", Alignment::Left),
    ]);
    for met in shown {
        let line = met.rule.line.map_or(String::new(), |line| line.to_string());
        let matches = match &met.mismatch {
            None => "yes".to_owned(),
            Some(Mismatch { field, value }) => match value {
                Some(value) => format!("no: {field} is {value}"),
                None => format!("no: the packet has no {field}"),
            },
        };
        table.row([met.rule.name.clone(), met.action.to_owned(), line, matches]);
    }
    text + "\n" + &table.to_string() + "\n"
}

/// The name of the rule that decided, by the metadata of the image.
fn rule_name(metadata: &Metadata, evaluation: &Evaluation) -> Option<String> {
    match evaluation.outcome {
        Outcome::Rule(id) => {
            let rule = metadata.rules.get(usize::try_from(id.0).ok()?)?;
            Some(rule.name.clone())
        }
        Outcome::Reason(_) => None,
    }
}

/// The names of the rules that counted.
fn counted_rules(ruleset: &Ruleset, evaluation: &Evaluation) -> Vec<String> {
    let rule = |id: &RuleId| ruleset.rules.get(id.0 as usize);
    evaluation
        .counted
        .iter()
        .filter_map(rule)
        .map(|rule| rule.name.clone())
        .collect()
}
