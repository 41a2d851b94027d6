//! `firewall check`: what `apply` would say of a rule file, without privileges.

pub(crate) mod image;
pub(crate) mod plan;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use rules::{analysis, diagnostics::Diagnostic, language::canonical};
use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        compile::{self, Predecessor},
        rule_tests,
    },
    commands::check::plan::Tables,
    error::Error,
    interfaces::list,
    kernel::generation::Generation,
    logging::{
        lines::{tell, tell_progress},
        progress::Progress,
    },
    rule_file::load::{self, SourceError},
    text::format::{bytes, counted, grouped},
};

/// What is printed of a rule file that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Warnings.
    Warnings,
    /// Warnings, and the tables.
    Plan,
    /// The tables as JSON; what is wrong with the file goes to stderr.
    PlanAsJson,
    /// The rule set, in one form.
    Ruleset,
    /// The parts of the image, in one form.
    Image,
}

/// How a rule file is checked.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What is printed.
    pub(crate) show: Show,
    /// The most memory for an image map.
    pub(crate) max_memory: Budget,
    /// The most steps of the analysis.
    pub(crate) steps: u64,
    /// Whether a warning is an error.
    pub(crate) deny_warnings: bool,
}

/// Checks a rule file: prints what is wrong with it, and what it would be made of.
pub(crate) async fn run(path: PathBuf, options: Options) -> Result<(), Error> {
    let Options {
        show,
        max_memory: budget,
        ..
    } = options;
    let progress = Progress::told_to(tell_progress);
    let (place, at) = (path.clone(), progress.clone());
    let steps = options.steps;
    let load = move || load::load_and_lint(&place, &mut analysis::Budget::new(steps), &at);
    let (mut file, undecided) = match task::spawn_blocking(load).await? {
        Ok(loaded) => loaded,
        Err(SourceError::Invalid { path, diagnostics }) => {
            complain(show, &diagnostics)?;
            return Err(Error::Checked {
                path,
                found: load::counted(&diagnostics),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let warnings = std::mem::take(&mut file.warnings);
    tell_undecided(undecided, steps);
    if !warnings.is_empty() {
        complain(show, &warnings)?;
    }
    let found = load::counted(&warnings);
    // The file may be for another machine: patterns that fit no interface here are no error.
    let patterns = &file.ruleset.settings.interfaces;
    let mut interfaces = list::list().await?;
    interfaces.retain(|interface| patterns.iter().any(|p| p.matches(&interface.name)));
    let interfaces = rule_tests::with_absent(interfaces, rule_tests::named(&file.tests));
    let compile = move || {
        let before = Predecessor::default();
        compile::compile(
            &file,
            &interfaces,
            Generation::FIRST,
            &before,
            budget,
            &progress,
        )
    };
    let candidate = task::spawn_blocking(compile).await??;
    if let Err(error) = rule_tests::run(&candidate) {
        complain(show, error.diagnostics())?;
        return Err(Error::TestsChecked(error));
    }
    match show {
        Show::Warnings => {}
        Show::Plan => print(&Tables::new(&path, &candidate, budget)?.to_text())?,
        Show::PlanAsJson => print(&Tables::new(&path, &candidate, budget)?.to_json()?)?,
        Show::Ruleset => print(&canonical::text(candidate.ruleset(), &candidate.tests))?,
        Show::Image => print(&image::text(candidate.image()))?,
    }
    if options.deny_warnings && !warnings.is_empty() {
        return Err(Error::Denied { path, found });
    }
    summarize(&path, &found, &candidate);
    Ok(())
}

/// Says when the budget did not suffice to find all warnings.
fn tell_undecided(rules: usize, steps: u64) {
    if rules > 0 {
        let message = format!(
            "the analysis stopped: of {} it is not known whether a packet reaches them\n\
             help: `--budget` allows more than {} steps",
            counted(rules, "rule"),
            grouped(steps)
        );
        tell("analysis_stopped", &message);
    }
}

fn summarize(path: &Path, found: &str, candidate: &compile::Candidate) {
    let tests = match candidate.tests.len() {
        0 => String::new(),
        tests => format!(", {} passed", counted(tests, "test")),
    };
    let message = format!(
        "`{}`: {found}, {}{tests}, image {}",
        path.display(),
        counted(candidate.ruleset().rules.len(), "rule"),
        bytes(candidate.image().bytes().len() as u64)
    );
    tell("done", &message);
}

/// Prints what is wrong with the file.
fn complain(show: Show, diagnostics: &[Diagnostic]) -> Result<(), Error> {
    match show {
        Show::Warnings | Show::Plan => print(&load::render(diagnostics)),
        Show::PlanAsJson | Show::Ruleset | Show::Image => {
            load::tell(diagnostics);
            Ok(())
        }
    }
}

fn print(text: &str) -> Result<(), Error> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Error::Output)
}
