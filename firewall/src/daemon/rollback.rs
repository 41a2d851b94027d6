//! Generations that come back: at a command, because nobody confirmed what followed them, or
//! because a daemon died while they waited for that.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::Serialize;
use tokio::task;

use crate::{
    candidate::changes::Changes,
    control::protocol::Answer,
    daemon::{
        Change, Daemon, Demand, LOADING, Means,
        guard::{self, Asked, Before},
        outcome::Outcome,
        plan,
        trigger::{Cause, Occasion},
    },
    error::Error,
    filter::{plan::Occupied, transaction::Filter, unload},
    generation::{
        confirmation::{self, Condition, ConfirmationError},
        deadline::Deadline,
        metadata::Metadata,
        pinned::{Again, Earlier},
        succession::{Succession, Terms},
    },
    interfaces::selection::{Accepted, Selection},
    kernel::generation::Generation,
    logging::{
        lines::Fields,
        progress::{Progress, log_progress},
    },
    text::causes::Causes,
};

/// How long until the next attempt when a generation does not come back.
const PAUSE: Duration = Duration::from_secs(5);

/// How a generation comes back for good in place of one that was given up.
const BACK: Terms = Terms {
    succession: Succession::Abandons,
    condition: None,
};

impl Daemon {
    /// Brings the first rules into force, unless what is loaded waits for its confirmation: then
    /// that stays, or, when its time is over, gives way to what was before.
    pub(super) async fn begin(&mut self, first: Change) -> Result<Outcome, Error> {
        let waiting = self.found.take_if(|found| found.confirm_by.is_some());
        let Some((deadline, found)) = waiting.and_then(|found| Some((found.confirm_by?, found)))
        else {
            return self.bring_into_force(first).await;
        };
        let file = first.file.display();
        tracing::warn!(
            event = "file_not_applied",
            %file,
            "what is loaded waits for its confirmation: `{file}` is not brought into force"
        );
        let (earlier, terms) = if deadline.has_passed() {
            (&found.previous, BACK)
        } else {
            let terms = Terms {
                succession: Succession::Renews,
                condition: Some(Condition::Until(deadline)),
            };
            (&found.in_force, terms)
        };
        let Some(earlier) = earlier else {
            let in_force = found.in_force.as_ref();
            let expired = in_force.map_or(Generation::FIRST, |found| found.metadata.generation);
            drop(found);
            task::block_in_place(|| unload::unload(&self.config.pins))?;
            return Err(ConfirmationError::Expired(expired).into());
        };
        let held = found.slots().values().chain(found.held()).copied();
        let again = earlier.again(found.next_generation(), held)?;
        let generation = earlier.metadata.generation;
        let (selection, means) = self.means(&again, None).await?;
        let plan = plan(&found.present()?, &again.ready(), again.mode, &means)?;
        let changes = found
            .in_force
            .as_ref()
            .map(|in_force| changes(&in_force.metadata, &again.metadata));
        let pins = self.config.pins.clone();
        let most = self.most_bans();
        let (filter, timing) = task::block_in_place(|| {
            let ready = again.ready();
            Filter::start(pins, &self.object, found, &ready, &plan, terms, most)
        })?;
        task::block_in_place(|| self.bans.open(&self.config.pins, self.max_bans));
        self.filter = Some(filter);
        let outcome = Outcome::again(&again, generation, changes, (terms, timing));
        self.note(again.metadata.file, None, &outcome);
        self.record(selection, plan.occupied, &BTreeSet::new())
            .await;
        Ok(outcome)
    }

    /// Whether what is in force waits for its confirmation, and nothing was before.
    pub(super) fn is_first(&self) -> bool {
        let previous = self.filter.as_ref().and_then(Filter::previous);
        self.confirm_by.is_some() && previous.is_none()
    }

    /// Fails when what is in force waits for its confirmation.
    pub(super) fn require_confirmed(&self) -> Result<(), ConfirmationError> {
        match (&self.filter, self.confirm_by) {
            (Some(filter), Some(deadline)) => Err(ConfirmationError::Waiting {
                generation: filter.metadata().generation,
                deadline,
            }),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Keeps what is in force and waits for this.
    pub(super) fn confirm(&mut self, occasion: Occasion) -> Answer {
        #[derive(Serialize)]
        struct Confirmed {
            generation: Generation,
            #[serde(flatten)]
            cause: Cause,
        }
        let Some(generation) = self.generation() else {
            return Answer::Ending;
        };
        match confirmation::confirm(&self.config.pins, generation) {
            Ok(message) => {
                self.confirm_by = None;
                let fields = Fields::of(&Confirmed {
                    generation,
                    cause: occasion.cause,
                });
                tracing::info!(event = "confirmed", fields = fields.as_value(), "{message}");
                Answer::Done { message }
            }
            Err(error) => Answer::Failed {
                message: Error::from(error).report(),
            },
        }
    }

    /// Brings back what was in force before, because somebody asked for it.
    pub(super) async fn roll_back(&mut self, asked: Asked, occasion: Occasion) -> Answer {
        let (succession, asked) = match self.confirm_by {
            // Whoever asks for this may be locked out by what is in force.
            Some(_) => (Succession::Abandons, None),
            None => (Succession::Follows, Some(asked)),
        };
        let back = self.bring_back(succession, asked).await;
        self.answer(back, None, occasion)
    }

    /// What is in force was not confirmed in time: brings back what was before, if anything was.
    /// Else returns the generation that is to be unloaded.
    pub(super) async fn expire(&mut self) -> Option<Generation> {
        let occasion = Occasion::now(Cause::Timeout);
        let generation = self.generation()?;
        let number = generation.number();
        if self.is_first() {
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
        match self.bring_back(Succession::Abandons, None).await {
            Ok(outcome) => {
                self.report(&outcome, occasion);
            }
            Err(error) => {
                let error = Causes(&error);
                tracing::error!(
                    event = "return_failed",
                    generation = number,
                    %error,
                    retry_seconds = PAUSE.as_secs(),
                    "{error}; generation {generation} stays in force; the next attempt is in {}",
                    confirmation::seconds(PAUSE)
                );
                self.confirm_by = Some(Deadline::after(PAUSE));
            }
        }
        None
    }

    async fn bring_back(
        &mut self,
        succession: Succession,
        asked: Option<Asked>,
    ) -> Result<Outcome, Error> {
        let Some(mut filter) = self.filter.take() else {
            return Err(Error::Ending);
        };
        let back = self.change_back(&mut filter, succession, asked).await;
        self.filter = Some(filter);
        let back = back?;
        let rules = self.previous.clone();
        self.note(back.file, rules, &back.outcome);
        self.record(back.selection, back.occupied, &BTreeSet::new())
            .await;
        self.look_again();
        Ok(back.outcome)
    }

    async fn change_back(
        &self,
        filter: &mut Filter,
        succession: Succession,
        asked: Option<Asked>,
    ) -> Result<Back, Error> {
        let in_force = filter.metadata();
        let number = in_force.generation;
        let earlier =
            Earlier::previous(&self.config.pins, number)?.ok_or(Error::NoPrevious(number))?;
        let held = in_force.rules.iter().map(|rule| rule.slot);
        let again = earlier.again(number.next(), held)?;
        let (selection, means) = self.means(&again, asked).await?;
        let present = filter.present()?;
        let plan = plan(&present, &again.ready(), again.mode, &means)?;
        let before = Before {
            image: Some(filter.image()),
            present: &present,
        };
        self.guard(guard::of_earlier(&again), before, &means)
            .await?;
        let changes = changes(in_force, &again.metadata);
        means.progress.at(LOADING);
        let ready = again.ready();
        let terms = Terms { succession, ..BACK };
        let timing = task::block_in_place(|| filter.change(&self.object, &ready, &plan, terms))?;
        let generation = earlier.metadata.generation;
        let outcome = Outcome::again(&again, generation, Some(changes), (terms, timing));
        Ok(Back {
            outcome,
            file: again.metadata.file,
            selection,
            occupied: plan.occupied,
        })
    }

    /// What a generation comes back with: the interfaces that it named, as far as they are there.
    async fn means(
        &self,
        again: &Again,
        asked: Option<Asked>,
    ) -> Result<(Selection, Means), Error> {
        let accepted = Accepted::anything();
        let selection = self.select(&again.metadata.patterns(), &accepted).await?;
        let means = Means {
            optional: selection.optional(&accepted),
            interfaces: selection.interfaces.clone(),
            demand: Demand {
                budget: self.budget,
                condition: None,
                asked,
            },
            progress: Progress::told_to(log_progress),
        };
        Ok((selection, means))
    }
}

/// What came of bringing a generation back.
struct Back {
    outcome: Outcome,
    file: PathBuf,
    selection: Selection,
    occupied: Vec<Occupied>,
}

fn changes(before: &Metadata, after: &Metadata) -> Changes {
    let names = |metadata: &Metadata| -> Vec<String> {
        let rules = metadata.rules.iter();
        rules.map(|rule| rule.name.clone()).collect()
    };
    Changes::of_names(&names(before), &names(after))
}
