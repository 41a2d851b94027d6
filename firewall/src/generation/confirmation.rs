//! Rules that are in force on the condition that somebody confirms them in time.

use std::{fmt, time::Duration};

use crate::{
    error::UserError,
    generation::{deadline::Deadline, pinned::Pinned},
    kernel::{
        generation::Generation,
        images::ImageError,
        pins::{self, Kept, PinError, Pins},
    },
};

/// The condition on which rules come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// That they are confirmed within this time.
    Within(Duration),
    /// That they are confirmed until then.
    Until(Deadline),
}

impl Condition {
    /// Until when they must be confirmed, if they come into force now.
    pub(crate) fn deadline(self) -> Deadline {
        match self {
            Self::Within(duration) => Deadline::after(duration),
            Self::Until(deadline) => deadline,
        }
    }
}

/// Why nothing could be confirmed, or something else not be done before that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfirmationError {
    /// Nothing waits for it.
    #[error("generation {0} does not wait for a confirmation")]
    NotWaiting(Generation),
    /// Something waits, so that nothing else can follow it yet.
    #[error(
        "generation {generation} waits for its confirmation, {} more",
        seconds(deadline.remaining())
    )]
    Waiting {
        /// What waits.
        generation: Generation,
        /// Until when.
        deadline: Deadline,
    },
    /// Nothing came in time, and nothing was in force before.
    #[error("generation {0} was not confirmed in time, and nothing was in force before: unloaded")]
    Expired(Generation),
    /// The image that marks it.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The pin that marks it.
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl UserError for ConfirmationError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Waiting { .. } => Some(
                "`firewall confirm` keeps it, `firewall rollback` returns to what was before"
                    .into(),
            ),
            Self::NotWaiting(_) => Some("`firewall rollback` returns to the one before".into()),
            Self::Expired(_) | Self::Image(_) | Self::Pin(_) => None,
        }
    }
}

/// Confirms the generation in force, this one; what was done, in words. From then on it stays, whoever dies.
///
/// # Errors
///
/// When it does not wait for that, or the mark cannot be removed.
pub(crate) fn confirm(pins: &Pins, generation: Generation) -> Result<String, ConfirmationError> {
    if Pinned::unconfirmed(pins, generation)?.is_none() {
        return Err(ConfirmationError::NotWaiting(generation));
    }
    pins::unpin(&pins.kept(Kept::Unconfirmed, generation))?;
    Ok(format!("generation {generation} confirmed"))
}

/// Rules that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AwaitingConfirmation {
    /// Their generation.
    pub(crate) generation: Generation,
    /// The one that comes back otherwise; `None` when there is none, and everything is unloaded.
    pub(crate) previous: Option<Generation>,
    /// How long they wait from now on.
    pub(crate) left: Duration,
}

impl AwaitingConfirmation {
    /// Logs it.
    pub(crate) fn log(&self) {
        tracing::warn!(
            event = "waits_for_confirmation",
            generation = self.generation.number(),
            previous = self.previous.map(Generation::number),
            seconds = (self.left + Duration::from_millis(500)).as_secs(),
            "{self}"
        );
    }
}

impl fmt::Display for AwaitingConfirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            generation,
            previous,
            left,
        } = self;
        let otherwise = previous.map_or_else(
            || "everything is unloaded".to_owned(),
            |previous| format!("generation {previous} comes back"),
        );
        write!(
            f,
            "generation {generation} waits for `firewall confirm`: without it {otherwise} in {}",
            seconds(*left)
        )
    }
}

/// A length of time in whole seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64().round())
}
