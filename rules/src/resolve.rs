//! The meaning of a rule file: from what is written to a [`Ruleset`].
//!
//! This module owns the order of the work and what rules have beside match fields. It does not
//! know TOML, and the text of values only as far as [`fields`] and [`sets`] read it.

mod consistency;
mod fields;
mod log;
mod rule_tests;
mod sets;

use std::{collections::HashMap, fmt::Display, sync::Arc};

use self::{fields::Fields, sets::Sets};
use crate::{
    diagnostics::{Code, Diagnostic, Report, Source, Span, quoted},
    rule_test::RuleTest,
    ruleset::{InterfacePattern, Matches, Mode, Parser, Policy, Rule, Ruleset, Settings, Verdict},
    syntax::{self, At, Term, suggest},
};

/// The most bytes that the name of a rule may have.
pub const MAX_RULE_NAME_LEN: usize = 64;

/// A rule file that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the file says.
    pub ruleset: Ruleset,
    /// What the file demands of it.
    pub tests: Vec<RuleTest>,
    /// What may not be as it was meant, by place.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a rule file.
///
/// The list files and captures that it names are asked of `list`, each once, by the name that
/// stands in the rule file; a relative one is meant relative to the rule file. The [`Source`] handed back is
/// best given the name under which the user finds the file.
///
/// # Errors
///
/// Everything that is wrong with the rule file and its list files, by place, and the warnings.
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

/// Gives list files and captures by name, or says why there is none.
pub(crate) type ListReader<'r> = dyn FnMut(&str) -> Result<Arc<Source>, String> + 'r;

/// Finds out what is meant by what is written in a rule file, of which `report` has the faults so
/// far.
pub(crate) fn resolve(
    file: &syntax::File<'_>,
    source: &Arc<Source>,
    list: &mut ListReader<'_>,
    mut report: Report,
) -> Result<Loaded, Vec<Diagnostic>> {
    let (ruleset, tests) = meaning(file, source, list, &mut report);
    let failed = report.has_errors();
    let diagnostics = report.into_diagnostics();
    if failed {
        return Err(diagnostics);
    }
    Ok(Loaded {
        ruleset,
        tests,
        warnings: diagnostics,
    })
}

fn meaning(
    file: &syntax::File<'_>,
    source: &Arc<Source>,
    list: &mut ListReader<'_>,
    report: &mut Report,
) -> (Ruleset, Vec<RuleTest>) {
    let settings = settings(&file.settings, &file.parser, report);
    let sets = Sets::resolve(&file.sets, list, report);
    let mut fields = Fields::new(sets);
    let mut names = HashMap::new();
    let mut rules = Vec::with_capacity(file.rules.len());
    let mut drop_all = Vec::new();
    let mut logging = Vec::new();
    for written in &file.rules {
        let name = rule_name(written.name, &mut names, report);
        let verdict = verdict(written.action, report);
        let log = written
            .log
            .as_ref()
            .and_then(|written| log::limit(written, report));
        let matches = fields.resolve(written, report);
        if let Some(matches) = &matches {
            consistency::check(written, matches, &settings, report);
        }
        if let (Some(name), Some(verdict), Some(matches)) = (name, verdict, matches) {
            if verdict == Verdict::Drop && matches == Matches::default() {
                drop_all.push(name.span);
            }
            if log.is_some() {
                logging.push(name.span);
            }
            rules.push(Rule {
                name: name.value.to_owned(),
                verdict,
                matches,
                log,
                place: source.place(name.span.start),
            });
        }
    }
    log::check_number(&logging, report);
    // A rule that could not be read may have been meant to use a set, or to have more fields.
    if !report.has_errors() {
        for name in drop_all {
            consistency::warn_of_dropped_neighbours(name, report);
        }
        fields.into_sets().warn_of_unused(report);
    }
    let ruleset = Ruleset { settings, rules };
    let tests = rule_tests::resolve(file, &ruleset, source, list, report);
    (ruleset, tests)
}

const POLICIES: [(&str, Policy); 2] = [("pass", Policy::Pass), ("drop", Policy::Drop)];

fn settings(
    written: &syntax::Settings<'_>,
    written_parser: &syntax::Parser<'_>,
    report: &mut Report,
) -> Settings {
    let policy = written
        .policy
        .and_then(|word| choice("policy", word, &POLICIES, report))
        .unwrap_or(Policy::Pass);
    let interfaces = written.interfaces.iter().flatten();
    Settings {
        interfaces: interfaces
            .filter_map(|term| attached_interface(term, report))
            .collect(),
        mode: written
            .mode
            .and_then(|word| {
                let modes = [
                    ("native", Mode::Native),
                    ("generic", Mode::Generic),
                    ("auto", Mode::Auto),
                ];
                choice("mode", word, &modes, report)
            })
            .unwrap_or(Mode::Native),
        policy,
        parser: parser(written_parser, policy, report),
    }
}

fn parser(written: &syntax::Parser<'_>, policy: Policy, report: &mut Report) -> Parser {
    let default = Parser::with_policy(policy);
    let mut verdict = |word: Option<At<&str>>, default| {
        word.and_then(|word| choice("verdict", word, &POLICIES, report))
            .unwrap_or(default)
    };
    Parser {
        malformed: verdict(written.malformed, default.malformed),
        truncated: verdict(written.truncated, default.truncated),
        too_many_headers: verdict(written.too_many_headers, default.too_many_headers),
        too_many_tags: verdict(written.too_many_tags, default.too_many_tags),
        unknown_ethertype: verdict(written.unknown_ethertype, default.unknown_ethertype),
    }
}

fn attached_interface(term: &Term<'_>, report: &mut Report) -> Option<InterfacePattern> {
    if term.text.starts_with(['!', '@']) {
        let message = "`interfaces` takes names and globs only";
        report
            .add(Code::InvalidValue, term.span, message)
            .help("name each interface to attach to; rules can be narrowed by `interface`");
        return None;
    }
    interface_pattern(term, &term.text, report)
}

/// Reads `text`, which is `term` less its operators, as the name or glob of an interface.
fn interface_pattern(term: &Term<'_>, text: &str, report: &mut Report) -> Option<InterfacePattern> {
    if term.is_number {
        let message = "an interface is named by a string";
        report
            .add(Code::WrongType, term.span, message)
            .label("this is an integer");
        return None;
    }
    let pattern = InterfacePattern::parse(text);
    if pattern.is_none() {
        let longest = InterfacePattern::MAX_NAME_LEN;
        let message = format!("invalid interface name {}", quoted(text));
        report
            .add(Code::InvalidValue, term.span, message)
            .help(format!(
                "a name has 1 to {longest} bytes and neither `/` nor `:` nor white space"
            ));
    }
    pattern
}

fn rule_name<'a>(
    name: Option<At<&'a str>>,
    names: &mut HashMap<&'a str, Span>,
    report: &mut Report,
) -> Option<At<&'a str>> {
    let name = name?;
    if let Some(fault) = name_fault(name.value) {
        let message = format!("invalid rule name {}", quoted(name.value));
        report
            .add(Code::InvalidName, name.span, message)
            .label(fault);
        return None;
    }
    if let Some(first) = names.get(name.value) {
        let message = format!("the rule name {} is taken", quoted(name.value));
        report
            .add(Code::DuplicateName, name.span, message)
            .note_at(*first, "it is taken by this rule")
            .help("counters are kept by name, so that each rule needs its own");
        return None;
    }
    names.insert(name.value, name.span);
    Some(name)
}

/// Why a text cannot be the name of a rule or a test.
fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("it is empty".to_owned())
    } else if name.len() > MAX_RULE_NAME_LEN {
        let length = name.len();
        Some(format!(
            "it has {length} bytes, more than {MAX_RULE_NAME_LEN}"
        ))
    } else if name.contains(char::is_control) {
        Some("it has a control character".to_owned())
    } else {
        None
    }
}

fn verdict(word: Option<At<&str>>, report: &mut Report) -> Option<Verdict> {
    let verdicts = [
        ("pass", Verdict::Pass),
        ("drop", Verdict::Drop),
        ("count", Verdict::Count),
    ];
    choice("action", word?, &verdicts, report)
}

/// What `word` stands for among `choices`.
fn choice<T: Copy>(
    key: &str,
    word: At<&str>,
    choices: &[(&'static str, T)],
    report: &mut Report,
) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == word.value);
    if found.is_none() {
        let message = format!("unknown {key} {}", quoted(word.value));
        let diagnostic = report.add(Code::InvalidValue, word.span, message);
        suggest(
            diagnostic,
            word.value,
            choices.iter().map(|(name, _)| *name),
        );
    }
    found.map(|(_, value)| *value)
}
