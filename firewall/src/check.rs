//! `firewall check`: what `apply` would say of a rule file, without privileges.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tokio::task;

use crate::{
    budget::Budget,
    candidate,
    error::Error,
    generation::Generation,
    interfaces,
    progress::Progress,
    rule_tests,
    source::{self, SourceError},
    tables::Tables,
    text::{bytes, counted, tell},
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
}

/// Checks a rule file: prints what is wrong with it, and what it would be made of.
pub(crate) async fn run(path: PathBuf, show: Show, budget: Budget) -> Result<(), Error> {
    let progress = Progress::told_to(tell);
    let (place, at) = (path.clone(), progress.clone());
    let file = match task::spawn_blocking(move || source::load(&place, &at)).await? {
        Ok(file) => file,
        Err(SourceError::Invalid { path, diagnostics }) => {
            complain(show, &source::render(&diagnostics))?;
            return Err(Error::Checked {
                path,
                found: source::counted(&diagnostics),
            });
        }
        Err(error) => return Err(error.into()),
    };
    if !file.warnings.is_empty() {
        complain(show, &source::render(&file.warnings))?;
    }
    let found = source::counted(&file.warnings);
    // The file may be for another machine: patterns that fit no interface here are no error.
    let patterns = &file.ruleset.settings.interfaces;
    let mut interfaces = interfaces::list().await?;
    interfaces.retain(|interface| patterns.iter().any(|p| p.matches(&interface.name)));
    let interfaces = rule_tests::with_absent(interfaces, rule_tests::named(&file.tests));
    let compile = move || {
        let before = BTreeMap::new();
        let first = Generation::FIRST;
        candidate::compile(&file, &interfaces, first, &before, None, budget, &progress)
    };
    let candidate = task::spawn_blocking(compile).await??;
    if let Err(error) = rule_tests::run(&candidate) {
        complain(show, &source::render(error.diagnostics()))?;
        return Err(Error::TestsChecked(error));
    }
    match show {
        Show::Warnings => {}
        Show::Plan => print(&Tables::new(&path, &candidate, budget)?.to_text())?,
        Show::PlanAsJson => print(&Tables::new(&path, &candidate, budget)?.to_json()?)?,
    }
    summarize(&path, &found, &candidate);
    Ok(())
}

fn summarize(path: &Path, found: &str, candidate: &candidate::Candidate) {
    let tests = match candidate.tests.len() {
        0 => String::new(),
        tests => format!(", {} passed", counted(tests, "test")),
    };
    tell(&format!(
        "`{}`: {found}, {}{tests}, image {}",
        path.display(),
        counted(candidate.ruleset().rules.len(), "rule"),
        bytes(candidate.image().bytes().len() as u64)
    ));
}

/// Prints what is wrong with the file.
fn complain(show: Show, text: &str) -> Result<(), Error> {
    match show {
        Show::Warnings | Show::Plan => print(text),
        Show::PlanAsJson => {
            tell(text.trim_end());
            Ok(())
        }
    }
}

fn print(text: &str) -> Result<(), Error> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Error::Output)
}
