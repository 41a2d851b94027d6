//! Checks a rule file, and prints what it would be made of.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rules::{analysis, diagnostics::Diagnostic, language::canonical};
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
        output::print,
    },
    error::{Error, UserError as _},
    interfaces::list,
    kernel::generation::Generation,
    logging::{
        diagnostics,
        lines::{tell, tell_progress},
        progress::Progress,
    },
    rule_file::load::{self, SourceError},
    text::format::{bytes, counted, grouped},
};

/// Check a rule file and run its tests, without loading it; needs no privileges
///
/// The exit status is 0 if the file can be used, with or without warnings, and 3 if not.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Rule file
    file: PathBuf,
    /// Print the tables that the rules are compiled to, their memory and the cost of a packet
    #[arg(long)]
    plan: bool,
    /// Print JSON
    #[arg(long, requires = "plan")]
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
        self.emit.is_none() && !self.json
    }
}

/// Checks a rule file: prints what is wrong with it, and what it would be made of.
pub(crate) async fn run(args: CheckArgs) -> Result<(), Error> {
    let budget = args.memory.max_memory.unwrap_or(Budget::DEFAULT);
    let steps = args.analysis.budget;
    let progress = Progress::told_to(tell_progress);
    let (place, at) = (args.file.clone(), progress.clone());
    let load = move || load::load_and_lint(&place, &mut analysis::Budget::new(steps), &at);
    let (mut file, undecided) = match task::spawn_blocking(load).await? {
        Ok(loaded) => loaded,
        Err(SourceError::Invalid { path, diagnostics }) => {
            complain(&args, &diagnostics)?;
            let found = diagnostics::counted(&diagnostics);
            return Err(CheckError::Invalid { path, found }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let warnings = std::mem::take(&mut file.warnings);
    tell_undecided(undecided, steps);
    if !warnings.is_empty() {
        complain(&args, &warnings)?;
    }
    let found = diagnostics::counted(&warnings);
    // The file may be for another machine: patterns that fit no interface here are no error.
    let patterns = &file.ruleset.settings.interfaces;
    let mut interfaces = list::list().await?;
    interfaces.retain(|interface| patterns.iter().any(|p| p.selects(&interface.name)));
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
        complain(&args, error.diagnostics())?;
        return Err(CheckError::Tests(error).into());
    }
    match args.emit {
        Some(Emit::Ruleset) => print(&canonical::text(candidate.ruleset(), &candidate.tests))?,
        Some(Emit::Image) => print(&image::text(candidate.image()))?,
        None if args.plan => {
            let tables = Tables::new(&args.file, &candidate, budget)?;
            print(&if args.json {
                tables.to_json()?
            } else {
                tables.to_text()
            })?;
        }
        None => {}
    }
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
             help: use `--budget` to allow more than {} steps",
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
fn complain(args: &CheckArgs, found: &[Diagnostic]) -> Result<(), Error> {
    if args.is_for_people() {
        print(&diagnostics::render(found))
    } else {
        diagnostics::tell(found);
        Ok(())
    }
}
