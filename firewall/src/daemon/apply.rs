//! Brings rule files into force, and answers the requesters.

use std::{path::Path, sync::Arc, time::Duration};

use rules::diagnostics::Diagnostic;
use serde::Serialize;
use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        compile::{self, Candidate, Predecessor},
        rule_tests,
    },
    control::protocol::{Answer, RulesResult},
    daemon::{
        current::Current,
        keeping::Keeping,
        outcome::{Failure, Outcome, Stages},
        request::{ApplyRequest, Requester},
        sd_notify,
        state::Daemon,
        switch::{Next, Targets},
        trigger::{Cause, Trigger},
    },
    error::{Error, ExitStatus},
    filter::transaction::Filter,
    generation::confirmation::{AwaitingConfirmation, Condition},
    interfaces::{list, selection::Accepted, unattached::Retry},
    kernel::generation::Generation,
    logging::{
        diagnostics,
        lines::Fields,
        progress::{Progress, log_progress},
    },
    rule_file::{
        contents::Hold,
        fallback::LastGood,
        input::RuleInput,
        last_good::Copies,
        load::{self, RuleFile},
        shrink::{self, ShrinkError, Sizes},
    },
    text::causes::Causes,
};

/// The description of the tests of a rule file in messages.
const TESTING: &str = "running the tests of the rule file";

/// Rounds to the next second.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

impl Daemon {
    /// Brings the current rule file into force again.
    pub(super) async fn reload(&mut self, requester: Requester, occasion: Trigger) -> Answer {
        let request = ApplyRequest {
            input: self.input.clone(),
            wait: false,
            budget: self.budget,
            confirm: None,
            requester,
        };
        self.apply(request, occasion).await
    }

    /// Brings a file into force unless it is, and logs the outcome.
    pub(super) async fn apply(&mut self, request: ApplyRequest, occasion: Trigger) -> Answer {
        sd_notify::reloading();
        let path = request.input.path().to_owned();
        let confirms = request.confirm.is_some();
        let answer = match self.apply_if_changed(request).await {
            Ok(Applied::Changed(outcome)) => self.answer(Ok(*outcome), Some(&path), occasion),
            Ok(Applied::Unchanged(unchanged)) => unchanged.answer(&path, confirms, occasion),
            Err(error) => self.answer(Err(error), Some(&path), occasion),
        };
        sd_notify::ready();
        answer
    }

    /// Brings a file into force. If the rules in force were made of the same files, nothing happens
    /// but that interfaces are attached to which are not yet: another generation would only push the
    /// previous one off.
    async fn apply_if_changed(&mut self, request: ApplyRequest) -> Result<Applied, Error> {
        let (file, progress) = self.read(&request).await?;
        if let Some(generation) = self.generation()
            && request.budget == self.budget
            && let Some(known) = self.rules.as_ref().filter(|known| known.is_made_of(&file))
        {
            let is_for = known.interfaces.clone();
            let accepted = self.accepted(&file).with_absent(request.wait);
            let patterns = &file.ruleset.settings.interfaces;
            let selection = self.select(patterns, Some(&file), &accepted).await?;
            if !file.names_interfaces() || is_for == selection.dependencies() {
                self.require_own()?;
                self.relink(selection, Retry::All).await?;
                return Ok(Applied::Unchanged(Unchanged {
                    generation,
                    warnings: file.warnings,
                }));
            }
        }
        let outcome = self.apply_read(file, request, progress).await?;
        Ok(Applied::Changed(Box::new(outcome)))
    }

    /// Logs the outcome of a change to the rules of `file`, or to the previous ones, for an answer.
    pub(super) fn answer(
        &self,
        changed: Result<Outcome, Error>,
        file: Option<&Path>,
        occasion: Trigger,
    ) -> Answer {
        match changed {
            Ok(outcome) => Answer::Done {
                message: outcome.warnings() + &self.report(&outcome, occasion),
                rules: Some(self.result(&outcome)),
            },
            Err(Error::Ending) => Answer::Ending,
            Err(error) => {
                let failure = Failure {
                    error: &error,
                    file,
                    stays: self.generation(),
                };
                failure.log(occasion);
                sd_notify::status(&failure.to_string());
                Answer::failed(&error)
            }
        }
    }

    /// The outcome as a program reads it.
    pub(super) fn result(&self, outcome: &Outcome) -> RulesResult {
        RulesResult {
            changed: true,
            generation: outcome.generation,
            confirm_seconds: self
                .confirm_by
                .map(|by| (by.remaining() + HALF_A_SECOND).as_secs()),
            warnings: outcome.warning_records(),
        }
    }

    /// Logs the rules that came into force, and their condition; returns the message for the
    /// answer.
    pub(super) fn report(&self, outcome: &Outcome, occasion: Trigger) -> String {
        outcome.log(occasion, self.input.path());
        sd_notify::status(&outcome.in_short());
        let mut report = outcome.to_string();
        if let Some(deadline) = self.confirm_by {
            let waiting = AwaitingConfirmation {
                generation: outcome.generation,
                previous: self
                    .filter()
                    .and_then(Filter::previous)
                    .map(|previous| previous.generation),
                left: deadline.remaining(),
            };
            waiting.log();
            report = format!("{report}\n{waiting}");
        }
        report
    }

    /// Reads a file and brings it into force.
    pub(super) async fn bring_into_force(
        &mut self,
        request: ApplyRequest,
    ) -> Result<Outcome, Error> {
        let (file, progress) = self.read(&request).await?;
        self.apply_read(file, request, progress).await
    }

    async fn read(&self, request: &ApplyRequest) -> Result<(RuleFile, Progress), Error> {
        self.require_confirmed()?;
        let progress = Progress::told_to(log_progress);
        let file = self.load(request.input.clone(), progress.clone()).await?;
        if !request.requester.force {
            self.require_size(&file)?;
        }
        diagnostics::log(&file.warnings);
        Ok((file, progress))
    }

    /// Brings the first file into force. At boot, when it cannot be used, the last good copy is: what others publish
    /// must not decide whether a machine has a firewall.
    pub(super) async fn bring_first_into_force(
        &mut self,
        first: ApplyRequest,
    ) -> Result<Outcome, Error> {
        let failed = match self.bring_into_force(first.clone()).await {
            Err(error) if self.boots && error.exit_status() == ExitStatus::BadRules => error,
            other => return other,
        };
        let store = self
            .keeping
            .as_ref()
            .map(|keeping| Arc::clone(keeping.store()));
        let Some((store, good)) = store.and_then(|store| store.good().map(|good| (store, good)))
        else {
            return Err(failed);
        };
        diagnostics::log(failed.diagnostics());
        let last_good = LastGood {
            kept_at: good.kept_at.clone(),
            error: Causes(&failed).to_string(),
        };
        tracing::error!(
            event = "last_good_used",
            file = %first.input.path().display(),
            kept_at = last_good.kept_at,
            error = last_good.error,
            "{last_good}"
        );
        let progress = Progress::told_to(log_progress);
        let load = {
            let (path, progress) = (first.input.path().to_owned(), progress.clone());
            move || load::load_copies(&path, &Copies::new(&store, &good), last_good, &progress)
        };
        let brought = match self.unless_ending(load).await? {
            Ok(file) => {
                diagnostics::log(&file.warnings);
                self.apply_read(file, first, progress).await
            }
            Err(error) => Err(error.into()),
        };
        brought.map_err(|error| {
            let error = Causes(&error);
            tracing::error!(event = "last_good_unusable", %error, "the last good rules cannot be used: {error}");
            failed
        })
    }

    /// Why the rules in force are not those of the rule file, if they are not.
    pub(super) fn last_good(&self) -> Option<&LastGood> {
        self.rules.as_ref()?.source.last_good.as_ref()
    }

    /// Fails when a rule file or its lists have lost too much of what they had in force or, at the start, of what
    /// was in force last.
    fn require_size(&self, file: &RuleFile) -> Result<(), ShrinkError> {
        if let Some(known) = &self.rules {
            return if known.source.input.path() == file.input.path() {
                shrink::check(&Sizes::of(&known.source), file)
            } else {
                Ok(())
            };
        }
        let good = self
            .keeping
            .as_ref()
            .and_then(|keeping| keeping.store().good());
        match good.filter(|good| good.file == file.input.path()) {
            Some(good) => shrink::check(good.sizes(), file),
            None => Ok(()),
        }
    }

    async fn apply_read(
        &mut self,
        file: RuleFile,
        request: ApplyRequest,
        progress: Progress,
    ) -> Result<Outcome, Error> {
        let accepted = self.accepted(&file).with_absent(request.wait);
        let options = FileOptions {
            budget: request.budget,
            condition: request.confirm.map(Condition::Within),
            requester: Some(request.requester),
        };
        self.apply_file(file, &accepted, options, progress).await
    }

    /// Brings a file that was already read into force.
    pub(super) async fn apply_file(
        &mut self,
        mut file: RuleFile,
        accepted: &Accepted,
        options: FileOptions,
        progress: Progress,
    ) -> Result<Outcome, Error> {
        let patterns = &file.ruleset.settings.interfaces;
        let selection = self.select(patterns, Some(&file), accepted).await?;
        let targets = Targets {
            optional: selection.optional(accepted),
            selection,
            budget: options.budget,
            condition: options.condition,
            succession: None,
            requester: options.requester,
            progress,
        };
        let stages = Stages::of(&mut file);
        let files = std::mem::take(&mut file.files);
        let source = Box::new(file.clone());
        let candidate = self.compile(file, &targets).await?;
        let next = Next::File {
            stages: stages.compiled(&candidate),
            candidate: Box::new(candidate),
            source,
        };
        let outcome = self.switch(next, targets).await?;
        if let (Some(keeping), Some(rules)) = (&self.keeping, &self.rules)
            && !files.is_empty()
        {
            keeping.keep(&rules.source, files, outcome.confirm_by.is_some());
        }
        Ok(outcome)
    }

    async fn load(&self, input: RuleInput, progress: Progress) -> Result<RuleFile, Error> {
        let hold = self.keeping.as_ref().map_or(Hold::Nothing, Keeping::hold);
        let load = move || load::load_holding(&input, &hold, &progress);
        let loaded = self.unless_ending(load).await?;
        Ok(loaded?)
    }

    async fn compile(&self, file: RuleFile, targets: &Targets) -> Result<Candidate, Error> {
        let mut interfaces = targets.selection.interfaces.clone();
        if file.ruleset.names_origins() {
            let known: Vec<_> = interfaces.iter().map(|one| one.index).collect();
            let all = list::list().await?.into_iter();
            interfaces.extend(all.filter(|one| !known.contains(&one.index)));
        }
        let interfaces = rule_tests::with_absent(interfaces, rule_tests::named(&file.tests));
        let generation = self.current.next_generation();
        let predecessor = self.predecessor();
        let budget = targets.budget;
        let progress = targets.progress.clone();
        let compile = move || {
            compile::compile(
                &file,
                &interfaces,
                generation,
                &predecessor,
                budget,
                &progress,
            )
        };
        let candidate = self.unless_ending(compile).await??;
        self.test(&candidate, targets)?;
        Ok(candidate)
    }

    fn predecessor(&self) -> Predecessor {
        let (slots, held) = match &self.current {
            Current::Left(left) => (left.slots().clone(), left.held().clone()),
            Current::Running(filter) => (filter.metadata().slots(), filter.held()),
        };
        let known = self.rules.as_ref();
        Predecessor {
            slots,
            held,
            compiled: known.map(|known| Arc::clone(&known.compiled)),
        }
    }

    /// Runs the tests of a candidate, in user space and in the kernel.
    fn test(&self, candidate: &Candidate, targets: &Targets) -> Result<(), Error> {
        if candidate.tests.is_empty() {
            return Ok(());
        }
        targets.progress.at(TESTING);
        task::block_in_place(|| {
            rule_tests::run(candidate)?;
            rule_tests::run_in_kernel(candidate, &self.object, &self.config.pins)
        })?;
        Ok(())
    }
}

/// What came of a request to apply a file.
enum Applied {
    /// It is in force as another generation.
    Changed(Box<Outcome>),
    /// It was in force.
    Unchanged(Unchanged),
}

/// A rule file that was in force already.
struct Unchanged {
    generation: Generation,
    warnings: Vec<Diagnostic>,
}

impl Unchanged {
    /// Logs it for the answer; `confirms` if the requester would have had it confirmed.
    fn answer(self, file: &Path, confirms: bool, occasion: Trigger) -> Answer {
        #[derive(Serialize)]
        struct UnchangedEvent {
            generation: Generation,
            file: String,
            #[serde(flatten)]
            cause: Cause,
        }
        let Self {
            generation,
            warnings,
        } = self;
        let mut message = format!("unchanged: generation {generation} stays in force");
        if confirms {
            message.push_str(", and there is nothing to confirm");
        }
        let fields = Fields::of(&UnchangedEvent {
            generation,
            file: file.display().to_string(),
            cause: occasion.cause,
        });
        tracing::info!(event = "unchanged", fields = fields.as_value(), "{message}");
        Answer::Done {
            message: diagnostics::render(&warnings) + &message,
            rules: Some(RulesResult {
                changed: false,
                generation,
                confirm_seconds: None,
                warnings: warnings.iter().map(Into::into).collect(),
            }),
        }
    }
}

/// How a rule file is to come into force.
#[derive(Clone, Copy)]
pub(super) struct FileOptions {
    /// The largest memory for an image map.
    pub(super) budget: Budget,
    /// The condition, if there is one.
    pub(super) condition: Option<Condition>,
    /// The requester; `None` for a daemon that recompiles its own rules.
    pub(super) requester: Option<Requester>,
}
