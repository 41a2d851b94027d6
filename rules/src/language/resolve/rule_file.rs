//! The order in which a rule file is resolved.

use std::{collections::HashMap, fmt::Display, sync::Arc};

use super::{
    broad,
    choice::choice,
    consistency,
    fields::RuleFields,
    files::ListReader,
    flows, lints,
    listing::listing,
    loaded::{ListSize, Loaded},
    log, name, rule_tests,
    sets::Sets,
    settings::settings,
};
use crate::{
    diagnostics::{Diagnostic, Report, Source},
    language::{
        listing::Listing,
        rule_test::RuleTest,
        syntax::{self, At},
    },
    model::{Direction, DisabledRule, Rule, RuleAction, Ruleset},
};

/// Reads a rule file.
///
/// The list files and captures that it names are requested from `list`, each once, by the name in
/// the rule file; a relative name is relative to the rule file. The returned [`Source`] should have
/// the name under which the user finds the file.
///
/// # Errors
///
/// All errors in the rule file and its list files, by place, and the warnings.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use rules::diagnostics::{Source, render};
///
/// let source = Arc::new(Source::new("rules.toml", r#"
/// [firewall]
/// interfaces = ["eth0"]
/// [sets]
/// bad = { file = "bad.txt" }
/// [[rule]]
/// name = "blocklist"
/// action = "drop"
/// src = "@bad"
/// "#));
/// let list = |name: &str| Ok::<_, std::io::Error>(Source::new(name, "192.0.2.0/24\n"));
/// let loaded = rules::load(&source, list).unwrap();
/// assert_eq!(loaded.ruleset.rules[0].name, "blocklist");
///
/// let broken = Arc::new(Source::new("rules.toml", "[firewal]\n"));
/// let errors = rules::load(&broken, list).unwrap_err();
/// eprint!("{}", render(&errors[0]));
/// ```
pub fn load<E: Display>(
    source: &Arc<Source>,
    mut list: impl FnMut(&str) -> Result<Source, E>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut report = Report::new(source);
    let Some(tree) = syntax::tree(source, &mut report) else {
        return Err(report.into_diagnostics());
    };
    let file = syntax::file(&tree, &mut report);
    let mut list = |name: &str| list(name).map(Arc::new).map_err(|error| error.to_string());
    resolve(&file, source, &mut list, report)
}

/// Resolves a parsed rule file; `report` has the faults so far.
pub(crate) fn resolve(
    file: &syntax::File<'_>,
    source: &Arc<Source>,
    list: &mut ListReader<'_>,
    mut report: Report,
) -> Result<Loaded, Vec<Diagnostic>> {
    let allowed = lints::allowed(&file.allowed, &mut report);
    let (ruleset, tests, lists, listing) = meaning(file, source, list, &mut report);
    let failed = report.has_errors();
    let diagnostics = report.into_diagnostics();
    if failed {
        return Err(diagnostics);
    }
    let mut loaded = Loaded {
        ruleset,
        tests,
        lists,
        listing,
        warnings: Vec::new(),
        allowed,
    };
    loaded.warn(diagnostics);
    Ok(loaded)
}

fn meaning(
    file: &syntax::File<'_>,
    source: &Arc<Source>,
    list: &mut ListReader<'_>,
    report: &mut Report,
) -> (Ruleset, Vec<RuleTest>, Vec<ListSize>, Listing) {
    let settings = settings(
        &file.settings,
        &file.parser,
        &file.flows,
        &file.bans,
        source,
        report,
    );
    let sets = Sets::resolve(&file.sets, list, report);
    let lists = sets.sizes().to_vec();
    let mut fields = RuleFields::new(sets);
    let mut names = HashMap::new();
    let mut rules = Vec::with_capacity(file.rules.len());
    let mut disabled = Vec::new();
    let mut warned = broad::Warned::default();
    let mut logging = Vec::new();
    let mut limits = Vec::with_capacity(file.rules.len());
    let mut options = Vec::new();
    for written in &file.rules {
        let name = name::rule_name(written.name, &mut names, report);
        let action = action(written.action, report);
        let direction = direction(written.direction, report);
        let log = written
            .log
            .as_ref()
            .and_then(|written| log::limit(written, report));
        limits.push(log);
        let comment = written
            .comment
            .and_then(|comment| name::comment(comment, report));
        let matches = fields.resolve(written, report);
        if let Some(matches) = &matches {
            consistency::check(written, matches, direction, &settings, report);
        }
        if !written.is_enabled {
            if let (Some(name), Some(action), Some(direction)) = (name, action, direction) {
                disabled.push(DisabledRule {
                    name: name.value.to_owned(),
                    direction,
                    action,
                    comment,
                    place: source.place(name.span.start),
                });
            }
            continue;
        }
        if let (Some(RuleAction::Drop), Some(Direction::In), Some(matches)) =
            (action, direction, &matches)
        {
            broad::warn(written, matches, fields.sets(), &mut warned, report);
        }
        if let (Some(name), Some(action), Some(direction), Some(matches)) =
            (name, action, direction, matches)
        {
            if log.is_some() {
                logging.push(name.span);
            }
            options.extend(matches.ip_option.clone().map(|set| (written, set)));
            rules.push(Rule {
                name: name.value.to_owned(),
                direction,
                action,
                matches,
                log,
                comment,
                place: source.place(name.span.start),
            });
        }
    }
    log::check_number(&logging, report);
    consistency::check_option_groups(options.iter().map(|(rule, set)| (*rule, set)), report);
    // A rule that could not be read might have used a set, or had more fields.
    let mut listed = Listing::default();
    if !report.has_errors() {
        let sets = fields.into_sets();
        sets.warn_of_unused(report);
        listed = listing(file, &sets, &limits);
        flows::warn_of_unused(file, report);
    }
    let ruleset = Ruleset {
        settings,
        rules,
        disabled,
    };
    let tests = rule_tests::resolve(file, &ruleset, source, list, report);
    (ruleset, tests, lists, listed)
}

/// The direction, which is in unless the rule says another.
fn direction(word: Option<At<&str>>, report: &mut Report) -> Option<Direction> {
    let directions = Direction::ALL.map(|direction| (direction.as_str(), direction));
    match word {
        Some(word) => choice("direction", word, &directions, report),
        None => Some(Direction::In),
    }
}

fn action(word: Option<At<&str>>, report: &mut Report) -> Option<RuleAction> {
    let actions = RuleAction::ALL.map(|action| (action.as_str(), action));
    choice("action", word?, &actions, report)
}
