//! The outcome of bringing rules into force, and its log events.

use std::{fmt, path::Path, time::Duration};

use rules::diagnostics::Diagnostic;
use serde::Serialize;

use crate::{
    candidate::{
        changes::{self, Changes},
        compile::Candidate,
    },
    control::in_force::{Milliseconds, Times},
    daemon::trigger::{Cause, Trigger},
    error::Error,
    filter::transaction::Timing,
    generation::{
        deadline::Deadline,
        loadable::Loadable,
        succession::{CommitTerms, Succession},
    },
    kernel::generation::Generation,
    lockout,
    logging::{
        diagnostics::{self, DiagnosticRecord},
        lines::Fields,
    },
    rule_file::load::RuleFile,
    text::{
        causes::Causes,
        format::{bytes, counted},
    },
};

/// The outcome of bringing rules into force.
pub(super) struct Outcome {
    pub(super) generation: Generation,
    /// The generation that came back under another number, if one did.
    again: Option<Generation>,
    /// The fate of the previous generation.
    pub(super) succession: Succession,
    /// The deadline of its confirmation, if it needs one.
    pub(super) confirm_by: Option<Deadline>,
    rules: usize,
    image: usize,
    changes: Option<Changes>,
    warnings: Vec<Diagnostic>,
    needed: Vec<lockout::DroppedNeed>,
    pub(super) times: Times,
}

/// The results and times of the stages before the kernel. A generation that comes back has none.
#[derive(Default)]
pub(super) struct Stages {
    warnings: Vec<Diagnostic>,
    read: Duration,
    parse: Duration,
    compile: Duration,
    incremental: bool,
}

impl Stages {
    /// Takes the warnings out of the file, which ends with its compilation.
    pub(super) fn of(file: &mut RuleFile) -> Self {
        Self {
            warnings: std::mem::take(&mut file.warnings),
            read: file.read,
            parse: file.parse,
            ..Self::default()
        }
    }

    /// The same after the file was compiled to `candidate`.
    pub(super) fn compiled(self, candidate: &Candidate) -> Self {
        Self {
            compile: candidate.compile,
            incremental: candidate.is_incremental(),
            ..self
        }
    }
}

impl Outcome {
    /// The outcome of bringing a generation into force: its number was `was` before, if it came back.
    pub(super) fn new(
        ready: Loadable<'_>,
        was: Option<Generation>,
        changes: Option<Changes>,
        stages: Stages,
        (terms, timing): (CommitTerms, Timing),
    ) -> Self {
        Self {
            generation: ready.metadata.generation,
            again: was,
            succession: terms.succession,
            confirm_by: timing.confirm_by,
            rules: ready.metadata.rules.len(),
            image: ready.image.len(),
            changes,
            warnings: stages.warnings,
            needed: Vec::new(),
            times: Times {
                read_ms: stages.read.into(),
                parse_ms: stages.parse.into(),
                compile_ms: stages.compile.into(),
                incremental: stages.incremental,
                load_ms: timing.load.into(),
                switch_ms: timing.switch.into(),
            },
        }
    }

    /// The same, with warnings about packets that this machine needs.
    pub(super) fn with(self, needed: Vec<lockout::DroppedNeed>) -> Self {
        Self { needed, ..self }
    }

    /// All warnings, as the user reads them.
    pub(super) fn warnings(&self) -> String {
        let needed = self.needed.iter().map(|warning| {
            let (code, help) = (warning.code.as_str(), warning.help);
            format!("warning[{code}]: {warning}\nhelp: {help}\n")
        });
        diagnostics::render(&self.warnings) + &needed.collect::<String>()
    }

    /// The same for programs.
    pub(super) fn warning_records(&self) -> Vec<DiagnosticRecord> {
        let needed = self.needed.iter().map(|warning| {
            let help = Some(warning.help.to_string());
            DiagnosticRecord::of_machine(warning.code.as_str(), warning.to_string(), help)
        });
        let warnings = self.warnings.iter().map(DiagnosticRecord::from);
        warnings.chain(needed).collect()
    }

    /// The status line for the service manager.
    pub(super) fn in_short(&self) -> String {
        let rules = counted(self.rules, "rule");
        format!("generation {} in force: {rules}", self.generation)
    }

    /// Logs that rules of `file` are in force.
    pub(super) fn log(&self, occasion: Trigger, file: &Path) {
        #[derive(Serialize)]
        struct InForceEvent<'a> {
            generation: Generation,
            #[serde(skip_serializing_if = "Option::is_none")]
            again: Option<Generation>,
            file: String,
            rules: usize,
            #[serde(flatten)]
            changes: Option<changes::ChangeFields<'a>>,
            image_bytes: usize,
            #[serde(flatten)]
            times: Times,
            total_ms: Milliseconds,
            #[serde(flatten)]
            cause: Cause,
        }
        let fields = Fields::of(&InForceEvent {
            generation: self.generation,
            again: self.again,
            file: file.display().to_string(),
            rules: self.rules,
            changes: self.changes.as_ref().map(Changes::fields),
            image_bytes: self.image,
            times: self.times,
            total_ms: occasion.since.elapsed().into(),
            cause: occasion.cause,
        });
        let prefix = match occasion.cause {
            Cause::Interfaces => "interfaces have changed: ",
            Cause::Start | Cause::Signal | Cause::Socket { .. } | Cause::Timeout => "",
        };
        tracing::info!(
            event = "in_force",
            fields = fields.as_value(),
            "{prefix}{self}"
        );
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} in force", self.generation)?;
        if let Some(again) = self.again {
            write!(f, ", which is generation {again} again")?;
        }
        write!(
            f,
            ": {}, image {}",
            counted(self.rules, "rule"),
            bytes(self.image as u64)
        )?;
        if let Some(changes) = &self.changes {
            write!(f, "; {changes}")?;
        }
        write!(f, " ({})", self.times)
    }
}

/// Rules that did not come into force.
#[derive(Clone, Copy)]
pub(super) struct Failure<'a> {
    /// Why.
    pub(super) error: &'a Error,
    /// The rule file; `None` for a rollback.
    pub(super) file: Option<&'a Path>,
    /// What is in force, if anything is.
    pub(super) stays: Option<Generation>,
}

impl Failure<'_> {
    /// Logs it, with the diagnostics of the file.
    pub(super) fn log(&self, occasion: Trigger) {
        #[derive(Serialize)]
        struct FailedEvent {
            error: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            generation: Option<Generation>,
            diagnostics: usize,
            #[serde(flatten)]
            cause: Cause,
        }
        let diagnostics = self.error.diagnostics();
        diagnostics::log(diagnostics);
        let fields = Fields::of(&FailedEvent {
            error: Causes(self.error).to_string(),
            help: self.error.help(),
            file: self.file.map(|file| file.display().to_string()),
            generation: self.stays,
            diagnostics: diagnostics.len(),
            cause: occasion.cause,
        });
        let fields = fields.as_value();
        match self.file {
            Some(_) => tracing::error!(event = "reload_failed", fields, "{self}"),
            None => tracing::error!(event = "rollback_failed", fields, "{self}"),
        }
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; ", Causes(self.error))?;
        match self.stays {
            Some(generation) => write!(f, "generation {generation} stays in force"),
            None => f.write_str("nothing is in force"),
        }
    }
}
