//! Brings rule files into force, and answers the requesters.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        compile::{self, Candidate, Predecessor},
        rule_tests,
    },
    control::protocol::Answer,
    daemon::{
        current::Current,
        outcome::{Failure, Outcome, Stages},
        request::{ApplyRequest, Requester},
        sd_notify,
        state::Daemon,
        switch::{Next, Targets},
        trigger::Trigger,
    },
    error::Error,
    filter::transaction::Filter,
    generation::confirmation::{AwaitingConfirmation, Condition},
    interfaces::selection::Accepted,
    logging::{
        diagnostics,
        progress::{Progress, log_progress},
    },
    rule_file::load::{self, RuleFile},
};

/// The description of the tests of a rule file in messages.
const TESTING: &str = "running the tests of the rule file";

impl Daemon {
    /// Brings the current rule file into force again.
    pub(super) async fn reload(&mut self, requester: Requester, occasion: Trigger) -> Answer {
        let request = ApplyRequest {
            file: self.file.clone(),
            wait: false,
            budget: self.budget,
            confirm: None,
            requester,
        };
        self.apply(request, occasion).await
    }

    /// Brings a file into force, and logs the outcome.
    pub(super) async fn apply(&mut self, request: ApplyRequest, occasion: Trigger) -> Answer {
        sd_notify::reloading();
        let file = request.file.clone();
        let changed = self.bring_into_force(request).await;
        let answer = self.answer(changed, Some(&file), occasion);
        sd_notify::ready();
        answer
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
                message: diagnostics::render(&outcome.warnings) + &self.report(&outcome, occasion),
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

    /// Logs the rules that came into force, and their condition; returns the message for the
    /// answer.
    pub(super) fn report(&self, outcome: &Outcome, occasion: Trigger) -> String {
        outcome.log(occasion, &self.file);
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
        self.require_confirmed()?;
        let progress = Progress::told_to(log_progress);
        let file = self.load(request.file, progress.clone()).await?;
        diagnostics::log(&file.warnings);
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
        let selection = self.select(patterns, accepted).await?;
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
        let source = Box::new(file.clone());
        let candidate = self.compile(file, &targets).await?;
        let next = Next::File {
            stages: stages.compiled(&candidate),
            candidate: Box::new(candidate),
            source,
        };
        self.switch(next, targets).await
    }

    async fn load(&self, path: PathBuf, progress: Progress) -> Result<RuleFile, Error> {
        let load = move || load::load(&path, &progress);
        let loaded = self.unless_ending(load).await?;
        Ok(loaded?)
    }

    async fn compile(&self, file: RuleFile, targets: &Targets) -> Result<Candidate, Error> {
        let interfaces = targets.selection.interfaces.clone();
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
