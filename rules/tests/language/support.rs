//! Loads rule files from strings.

use std::sync::Arc;

use rules::{
    Loaded,
    diagnostics::{Diagnostic, Source, render},
    evaluator::{evaluate, flows::Tracker},
    field::State,
    lint, load,
    model::{Matches, Ruleset, Verdict},
};

/// Loads a rule file, with list files by name.
pub(crate) fn load_with(text: &str, lists: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
    load(&Arc::new(Source::new("rules.toml", text)), |name| {
        let list = lists.iter().find(|(known, _)| *known == name);
        list.map(|(name, text)| Source::new(*name, *text))
            .ok_or("no such file")
    })
}

/// Loads a rule file as one that is brought into force.
pub(crate) fn load_for_use(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let source = Arc::new(Source::new("rules.toml", text));
    lint::load_for_use(&source, |_| Err::<Source, _>("no such file"))
}

/// What the user sees of a rule file that is to be brought into force.
pub(crate) fn report_for_use(text: &str) -> String {
    match load_for_use(text) {
        Err(diagnostics) => show(&diagnostics),
        Ok(loaded) => format!("{}\nloaded", show(&loaded.warnings)),
    }
}

/// Loads a rule file that must not have findings.
pub(crate) fn load_clean(text: &str) -> Ruleset {
    let loaded = load_with(text, &[]).unwrap_or_else(|errors| panic!("{}", show(&errors)));
    assert!(loaded.warnings.is_empty(), "{}", show(&loaded.warnings));
    loaded.ruleset
}

/// The conditions of one rule with `fields`, which may be followed by a table `[sets]`.
pub(crate) fn matches(fields: &str) -> Matches {
    let text = format!(
        "[firewall]\ninterfaces = [\"*\"]\n[[rule]]\nname = \"r\"\naction = \"pass\"\n{fields}\n"
    );
    load_clean(&text).rules.remove(0).matches
}

/// The output for a rule file with findings.
pub(crate) fn report(text: &str) -> String {
    report_with(text, &[])
}

/// Like [`report`], with list files by name.
pub(crate) fn report_with(text: &str, lists: &[(&str, &str)]) -> String {
    match load_with(text, lists) {
        Err(diagnostics) => show(&diagnostics),
        Ok(loaded) => format!("{}\nloaded", show(&loaded.warnings)),
    }
}

fn show(diagnostics: &[Diagnostic]) -> String {
    let shown: Vec<_> = diagnostics.iter().map(render).collect();
    shown.join("\n")
}

/// The failures of the tests of a file, by the evaluator.
pub(crate) fn failures(loaded: &Loaded) -> Vec<String> {
    let Loaded { ruleset, tests, .. } = loaded;
    let mut failures = Vec::new();
    for test in tests {
        let mut flows = Tracker::new(ruleset);
        for (index, packet) in test.sequence().enumerate() {
            if index == test.given.len() {
                flows.wait(test.after);
            }
            let context = packet.context.as_ref().map(Option::as_deref);
            let seen = flows.see(&packet.frame, &context);
            let state = seen.map(|seen| seen.state);
            let context = context.in_state(state.unwrap_or(State::New));
            let found = evaluate(ruleset, &packet.frame, &context);
            if found.verdict == Verdict::Pass {
                flows.passed(&packet.frame, &context);
            }
            if index < test.given.len() {
                if found.verdict == Verdict::Drop {
                    failures.push(render(&test.given_failure(packet, &found, state, ruleset)));
                    break;
                }
            } else if !test.expected.is_met(&found) {
                failures.push(render(&test.failure(packet, &found, state, ruleset)));
            }
        }
    }
    failures
}
