//! Reads a rule file with all warnings, including those about rules that no packet reaches.

use std::{collections::HashMap, fmt::Display, sync::Arc};

use super::{needs, redundancy};
use crate::{
    analysis::{Budget, Unreached, unreached},
    diagnostics::{Code, Diagnostic, Report, Source, Span},
    language::{Loaded, resolve, syntax},
    model::{RuleId, Ruleset},
    text::{counted, quoted},
};

/// A rule file without errors, with all warnings.
#[derive(Clone, Debug)]
pub struct Linted {
    /// The result of [`crate::load`], with more warnings.
    pub loaded: Loaded,
    /// The number of rules for which the budget did not suffice to find out whether a packet
    /// reaches them.
    pub undecided: usize,
}

/// The comparisons of packets with rules that find out what a file forgets: about a second.
const MOST_COMPARISONS: u64 = 100_000_000;

/// Those before rules come into force: about 10 ms.
const FEW_COMPARISONS: u64 = 4_000_000;

/// The maximum number of rules that are named as those that shadow another.
const MOST_NAMED: usize = 4;

/// Reads a rule file as [`crate::load`] does, and finds all warnings, as far as the budget allows.
/// Expensive checks run only for a file without errors, after a call of `begin`.
///
/// # Errors
///
/// As for [`crate::load`].
pub fn load<E: Display>(
    source: &Arc<Source>,
    list: impl FnMut(&str) -> Result<Source, E>,
    budget: &mut Budget,
    begin: impl FnOnce(),
) -> Result<Linted, Vec<Diagnostic>> {
    load_by(source, list, |file, loaded, lists, report| {
        begin();
        needs::warn(file, &loaded.ruleset, MOST_COMPARISONS, report);
        let undecided = warn(file, loaded, budget, report);
        redundancy::warn(file, lists, report);
        undecided
    })
}

/// Reads a rule file as [`crate::load`] does, to bring it into force: warns also of what it forgets,
/// as far as that is found out in about 10 ms.
///
/// # Errors
///
/// Those of [`crate::load`].
pub fn load_for_use<E: Display>(
    source: &Arc<Source>,
    list: impl FnMut(&str) -> Result<Source, E>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let linted = load_by(source, list, |file, loaded, _, report| {
        needs::warn(file, &loaded.ruleset, FEW_COMPARISONS, report);
        0
    })?;
    Ok(linted.loaded)
}

/// The list files of a rule file, by name.
type Lists = HashMap<String, Arc<Source>>;

/// Reads a rule file, and has warnings of a file without errors added; returns what `lint` does.
fn load_by<E: Display>(
    source: &Arc<Source>,
    mut list: impl FnMut(&str) -> Result<Source, E>,
    lint: impl FnOnce(&syntax::File<'_>, &Loaded, &Lists, &mut Report) -> usize,
) -> Result<Linted, Vec<Diagnostic>> {
    let mut report = Report::new(source);
    let Some(tree) = syntax::tree(source, &mut report) else {
        return Err(report.into_diagnostics());
    };
    let file = syntax::file(&tree, &mut report);
    let mut lists = HashMap::new();
    let mut list = |name: &str| {
        let list = list(name).map_err(|error| error.to_string())?;
        let list = Arc::new(list);
        lists.insert(name.to_owned(), Arc::clone(&list));
        Ok(list)
    };
    let mut loaded = resolve::resolve(&file, source, &mut list, report)?;
    let mut report = Report::new(source);
    let undecided = lint(&file, &loaded, &lists, &mut report);
    report.extend(std::mem::take(&mut loaded.warnings));
    loaded.warn(report.into_diagnostics());
    Ok(Linted { loaded, undecided })
}

/// Warns about rules that no packet reaches; returns the number of undecided rules.
fn warn(
    file: &syntax::File<'_>,
    loaded: &Loaded,
    budget: &mut Budget,
    report: &mut Report,
) -> usize {
    let Loaded {
        ruleset, warnings, ..
    } = loaded;
    let reach = unreached(ruleset, budget);
    let rules: Vec<&syntax::WrittenRule<'_>> = file.enabled_rules().collect();
    let names: Vec<Span> = rules.iter().map(|rule| name(rule)).collect();
    for found in &reach.unreached {
        // If a single field leaves nothing, this was already reported at the field.
        let rule = rules.get(found.rule.0 as usize);
        let mut fields = rule.iter().flat_map(|rule| &rule.fields);
        let is_told = fields.any(|field| {
            warnings
                .iter()
                .any(|of| of.code == Code::NeverMatches && of.primary.span == field.span)
        });
        if !is_told {
            tell(found, ruleset, &names, report);
        }
    }
    reach.undecided.len()
}

fn name(rule: &syntax::WrittenRule<'_>) -> Span {
    rule.name.map_or(Span::from(0..0), |name| name.span)
}

fn tell(found: &Unreached, ruleset: &Ruleset, names: &[Span], report: &mut Report) {
    let called = |id: RuleId| {
        let rule = ruleset.rules.get(id.0 as usize);
        quoted(rule.map_or("", |rule| rule.name.as_str()))
    };
    let span = |id: RuleId| {
        names
            .get(id.0 as usize)
            .copied()
            .unwrap_or(Span::from(0..0))
    };
    let rule = called(found.rule);
    if found.by.is_empty() {
        let message = format!("the rule {rule} can never match");
        report
            .add(Code::NeverMatches, span(found.rule), message)
            .label("no packet has all of its fields");
        return;
    }
    let message = format!("no packet reaches the rule {rule}");
    let warning = report.add(Code::Unreached, span(found.rule), message);
    for (at, id) in found.by.iter().take(MOST_NAMED).enumerate() {
        let note = match (at, found.by.len()) {
            (0, 1) => format!("{} takes all of its packets before", called(*id)),
            (0, _) => format!("{} takes some of its packets before", called(*id)),
            _ => format!("{} takes others", called(*id)),
        };
        warning.note_at(span(*id), note);
    }
    if let more @ 1.. = found.by.len().saturating_sub(MOST_NAMED) {
        let verb = if more == 1 { "takes" } else { "take" };
        let rules = counted(more, "more rule");
        warning.note(format!("{rules} {verb} the others"));
    }
    warning.help("move it up, or take it out");
}
