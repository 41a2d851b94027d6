//! Checks a rule file, and prints what it would be made of.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rules::{analysis, diagnostics::Diagnostic, language::canonical};
use serde::Serialize;
use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        compile::{self, Predecessor},
        rule_tests,
    },
    commands::{
        args::{AnalysisArgs, MemoryArgs},
        check::{error::CheckError, image, plan::Tables},
        document::conclude,
        output::{print, print_findings},
    },
    error::{Error, ExitStatus, UserError as _},
    interfaces::list,
    kernel::generation::Generation,
    logging::{
        diagnostics::{self, DiagnosticRecord},
        lines::{tell, tell_progress},
        progress::Progress,
    },
    rule_file::{
        input::{self, RuleInput},
        load::{self, SourceError},
    },
    text::format::{bytes, counted},
};

/// Check a rule file and run its tests, without loading it; needs no privileges
///
/// The exit status is 0 if the file can be used, with or without warnings, and 3 if not.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Rule file; `-` reads it from stdin, and its lists from the current folder
    file: PathBuf,
    /// Print the tables that the rules are compiled to, their memory and the cost of a packet
    #[arg(long)]
    plan: bool,
    /// Print JSON; docs/json.md describes it
    #[arg(long, conflicts_with = "emit")]
    json: bool,
    /// Print a stage of the compiler, in a form that is the same for the same rules
    #[arg(long, value_name = "STAGE", conflicts_with = "plan")]
    emit: Option<Emit>,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    analysis: AnalysisArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// A stage of the compiler.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Emit {
    /// The rule set as a rule file, with sets and defaults written out
    Ruleset,
    /// The sections and structures of the image
    Image,
}

impl CheckArgs {
    /// Whether stdout is for what is wrong with the file, too, and not for another program alone.
    fn is_for_people(&self) -> bool {
        self.emit.is_none()
    }
}

/// What was found, for programs.
#[derive(Default, Serialize)]
struct CheckDocument {
    file: String,
    #[serde(flatten)]
    compiled: Option<CompiledDocument>,
    #[serde(skip)]
    diagnostics: Vec<DiagnosticRecord>,
}

/// What the file was compiled to.
#[derive(Serialize)]
struct CompiledDocument {
    rules: usize,
    tests: usize,
    /// The rules of which the budget did not suffice to say whether a packet reaches them.
    undecided: usize,
    image_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Tables>,
}

/// Checks a rule file: prints what is wrong with it, and what it would be made of.
pub(crate) async fn run(mut args: CheckArgs) -> Result<ExitStatus, Error> {
    let argument = args.file;
    args.file = input::shown(&argument).to_owned();
    let is_json = args.json;
    let mut document = CheckDocument {
        file: args.file.display().to_string(),
        ..CheckDocument::default()
    };
    let ended = check(argument, args, &mut document).await;
    let diagnostics = std::mem::take(&mut document.diagnostics);
    conclude(
        "check",
        is_json,
        ended.map(|()| ExitStatus::Done),
        document,
        diagnostics,
    )
}

async fn check(
    argument: PathBuf,
    args: CheckArgs,
    document: &mut CheckDocument,
) -> Result<(), Error> {
    let budget = args.memory.max_memory.unwrap_or(Budget::DEFAULT);
    let steps = args.analysis.budget;
    let progress = Progress::told_to(tell_progress);
    let at = progress.clone();
    let load = move || {
        let input = RuleInput::of_argument(&argument)?;
        load::load_and_lint(&input, &mut analysis::Budget::new(steps), &at)
    };
    let (mut file, undecided) = match task::spawn_blocking(load).await? {
        Ok(loaded) => loaded,
        Err(SourceError::Invalid { path, diagnostics }) => {
            complain(&args, &diagnostics, document)?;
            let found = diagnostics::counted(&diagnostics);
            return Err(CheckError::Invalid { path, found }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let warnings = std::mem::take(&mut file.warnings);
    tell_undecided(undecided, steps);
    if !warnings.is_empty() {
        complain(&args, &warnings, document)?;
    }
    let found = diagnostics::counted(&warnings);
    // The file may be for another machine: patterns that fit no interface here are no error.
    let patterns = &file.ruleset.settings.interfaces;
    let mut interfaces = list::list().await?;
    if !file.ruleset.names_origins() {
        interfaces.retain(|interface| patterns.iter().any(|p| p.selects(&interface.name)));
    }
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
        complain(&args, error.diagnostics(), document)?;
        return Err(CheckError::Tests(error).into());
    }
    match args.emit {
        Some(Emit::Ruleset) => print(&canonical::text(candidate.ruleset(), &candidate.tests))?,
        Some(Emit::Image) => print(&image::text(candidate.image()))?,
        None if args.plan && !args.json => {
            print(&Tables::new(&args.file, &candidate, budget)?.to_text())?;
        }
        None => {}
    }
    document.compiled = Some(CompiledDocument {
        rules: candidate.ruleset().rules.len(),
        tests: candidate.tests.len(),
        undecided,
        image_bytes: candidate.image().bytes().len(),
        plan: (args.plan && args.json)
            .then(|| Tables::new(&args.file, &candidate, budget))
            .transpose()?,
    });
    if args.deny_warnings && !warnings.is_empty() {
        let path = args.file;
        return Err(CheckError::Denied { path, found }.into());
    }
    summarize(&args.file, &found, &candidate);
    Ok(())
}

/// Says when the budget did not suffice to find all warnings.
fn tell_undecided(rules: usize, steps: u64) {
    if rules > 0 {
        let message = format!(
            "the analysis stopped: for {} it is not known whether a packet reaches them\n\
             help: use `--budget` to allow more than {}",
            counted(rules, "rule"),
            counted(steps, "step")
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

/// Prints what is wrong with the file, or keeps it for the document.
fn complain(
    args: &CheckArgs,
    found: &[Diagnostic],
    document: &mut CheckDocument,
) -> Result<(), Error> {
    if args.json {
        document.diagnostics.extend(found.iter().map(Into::into));
        Ok(())
    } else if args.is_for_people() {
        print_findings(&diagnostics::render(found))
    } else {
        diagnostics::tell(found);
        Ok(())
    }
}
