//! Rollbacks: by command, because a generation was not confirmed in time, or because a daemon died
//! while one waited for its confirmation.

use std::time::Duration;

use serde::Serialize;
use tokio::task;

use crate::{
    control::protocol::Answer,
    daemon::{
        current::Current,
        decisions::{self, Expiry, Opening},
        findings::OwnershipError,
        outcome::Outcome,
        request::{ApplyRequest, Requester},
        state::Daemon,
        switch::{Next, Targets},
        trigger::{Cause, Trigger},
    },
    error::Error,
    filter::{transaction::Filter, unload},
    generation::{
        confirmation::{self, ConfirmationError},
        deadline::Deadline,
        pinned::{Pinned, PinnedError, Revived},
        succession::CommitTerms,
    },
    interfaces::selection::Accepted,
    kernel::{generation::Generation, slot::Slot},
    logging::{
        lines::Fields,
        progress::{Progress, log_progress},
    },
    text::causes::Causes,
};

/// The least delay until the next attempt after a failed rollback.
const PAUSE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Brings the first rules into force, unless what is loaded waits for its confirmation: then
    /// that stays, or, when its time is over, gives way to the previous generation.
    pub(super) async fn open(&mut self, first: ApplyRequest) -> Result<Outcome, Error> {
        let Current::Left(left) = &self.current else {
            return self.bring_first_into_force(first).await;
        };
        if !left.is_empty() {
            tracing::info!(event = "taking_over", "taking over what is loaded");
        }
        if let Some(in_force) = &left.in_force
            && !in_force.has_own_layout
            && (left.confirm_by.is_some() || first.confirm.is_some())
        {
            return Err(PinnedError::OtherLayout(in_force.metadata.generation).into());
        }
        let has_passed = left.confirm_by.is_some_and(Deadline::has_passed);
        let opening = decisions::opening(left.confirm_by, has_passed, left.previous.is_some());
        if opening != Opening::Apply {
            let file = first.input.path().display();
            tracing::warn!(
                event = "file_not_applied",
                %file,
                "what is loaded waits for its confirmation: `{file}` is not brought into force"
            );
        }
        let generation = left.next_generation();
        let held: Vec<Slot> = left.slots().values().chain(left.held()).copied().collect();
        let (earlier, terms) = match opening {
            Opening::Apply => return self.bring_first_into_force(first).await,
            Opening::Resume(terms) => (&left.in_force, terms),
            Opening::Return(terms) => (&left.previous, terms),
            Opening::Unload => (&None, decisions::BACK),
        };
        let Some(earlier) = earlier else {
            let in_force = left.in_force.as_ref();
            let expired = in_force.map_or(Generation::FIRST, |left| left.metadata.generation);
            self.current = Current::Left(Box::default());
            task::block_in_place(|| unload::unload(&self.config.pins))?;
            return Err(ConfirmationError::Expired(expired).into());
        };
        let again = earlier.again(generation, held)?;
        let was = earlier.metadata.generation;
        self.revive(again, was, terms, None).await
    }

    /// Whether what is in force waits for its confirmation, and nothing was before.
    pub(super) fn is_first(&self) -> bool {
        let previous = self.filter().and_then(Filter::previous);
        self.confirm_by.is_some() && previous.is_none()
    }

    /// Fails when what is in force waits for its confirmation.
    pub(super) fn require_confirmed(&self) -> Result<(), ConfirmationError> {
        match (self.generation(), self.confirm_by) {
            (Some(generation), Some(deadline)) => Err(ConfirmationError::Waiting {
                generation,
                deadline,
            }),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Confirms the rules in force.
    pub(super) fn confirm(&mut self, occasion: Trigger) -> Answer {
        #[derive(Serialize)]
        struct Confirmed {
            generation: Generation,
            #[serde(flatten)]
            cause: Cause,
        }
        let Some(generation) = self.generation() else {
            return Answer::Ending;
        };
        // The mark may have to be pinned again first; what is wrong with other pins does not matter here.
        let confirmed = match self.require_own() {
            Err(error @ OwnershipError::Locked { .. }) => Err(error.into()),
            Ok(())
            | Err(
                OwnershipError::Foreign(_)
                | OwnershipError::Pin(_)
                | OwnershipError::Links(_)
                | OwnershipError::Unreachable(_),
            ) => self.confirm_filter().map_err(Error::from),
        };
        match confirmed {
            Ok(message) => {
                self.confirm_by = None;
                if let Some(keeping) = &self.keeping {
                    keeping.confirm();
                }
                let fields = Fields::of(&Confirmed {
                    generation,
                    cause: occasion.cause,
                });
                tracing::info!(event = "confirmed", fields = fields.as_value(), "{message}");
                Answer::Done {
                    message,
                    rules: None,
                }
            }
            Err(error) => Answer::failed(&error),
        }
    }

    fn confirm_filter(&mut self) -> Result<String, ConfirmationError> {
        match &mut self.current {
            Current::Running(filter) => filter.confirm(),
            Current::Left(_) => Err(ConfirmationError::NotWaiting(
                self.current.next_generation(),
            )),
        }
    }

    /// Brings the previous generation back, on request.
    pub(super) async fn roll_back(&mut self, requester: Requester, occasion: Trigger) -> Answer {
        // The rules in force may lock out the requester when they wait for their confirmation.
        let is_waiting = self.confirm_by.is_some();
        let requester = (!is_waiting).then_some(requester);
        let back = self
            .bring_back(decisions::rollback(is_waiting), requester)
            .await;
        self.answer(back, None, occasion)
    }

    /// What is in force was not confirmed in time: brings back what was before, if anything was.
    /// Else returns the generation that is to be unloaded.
    pub(super) async fn expire(&mut self) -> Option<Generation> {
        let occasion = Trigger::now(Cause::Timeout);
        let generation = self.generation()?;
        let number = generation.number();
        let has_previous = self.filter().and_then(Filter::previous).is_some();
        if decisions::expiry(has_previous) == Expiry::Unload {
            tracing::warn!(
                event = "not_confirmed",
                generation = number,
                "generation {generation} was not confirmed in time"
            );
            return Some(generation);
        }
        tracing::warn!(
            event = "not_confirmed",
            generation = number,
            "generation {generation} was not confirmed in time: the one before returns"
        );
        match self.bring_back(decisions::BACK, None).await {
            Ok(outcome) => {
                self.returning.succeed();
                self.report(&outcome, occasion);
            }
            Err(error) => {
                let error = Causes(&error);
                let pause = self.returning.fail().max(PAUSE);
                tracing::error!(
                    event = "return_failed",
                    generation = number,
                    %error,
                    retry_seconds = pause.as_secs(),
                    "{error}; generation {generation} stays in force; the next attempt is in {}",
                    confirmation::seconds(pause)
                );
                self.confirm_by = Some(Deadline::after(pause));
            }
        }
        None
    }

    async fn bring_back(
        &mut self,
        terms: CommitTerms,
        requester: Option<Requester>,
    ) -> Result<Outcome, Error> {
        let Some(in_force) = self.filter().map(Filter::metadata) else {
            return Err(Error::Ending);
        };
        let number = in_force.generation;
        let held = in_force.all_slots().collect::<Vec<_>>();
        // The image may have to be pinned again first.
        self.require_own()?;
        let earlier =
            Pinned::previous(&self.config.pins, number)?.ok_or(PinnedError::NoPrevious(number))?;
        let again = earlier.again(number.next(), held)?;
        let was = earlier.metadata.generation;
        self.revive(again, was, terms, requester).await
    }

    /// Brings a generation into force once more, on the interfaces that it names as far as they are
    /// there.
    async fn revive(
        &mut self,
        again: Revived,
        was: Generation,
        terms: CommitTerms,
        requester: Option<Requester>,
    ) -> Result<Outcome, Error> {
        let accepted = Accepted::anything();
        let rules = self.previous.as_ref().map(|rules| &rules.source);
        let patterns = again.metadata.patterns();
        let selection = self.select(&patterns, rules, &accepted).await?;
        let targets = Targets {
            optional: selection.optional(&accepted),
            selection,
            budget: self.budget,
            condition: terms.condition,
            succession: Some(terms.succession),
            requester,
            progress: Progress::told_to(log_progress),
        };
        let again = Box::new(again);
        let sha256 = again.metadata.sha256.clone();
        let outcome = self.switch(Next::Pinned { again, was }, targets).await?;
        if let Some(keeping) = &self.keeping {
            keeping.return_to(&sha256);
        }
        self.look_again();
        Ok(outcome)
    }
}
