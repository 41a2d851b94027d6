//! Rules in force on the condition that they are confirmed in time.

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
    /// Confirmation within this time.
    Within(Duration),
    /// Confirmation before this deadline.
    Until(Deadline),
}

impl Condition {
    /// The deadline, if the rules come into force now.
    pub(crate) fn deadline(self) -> Deadline {
        match self {
            Self::Within(duration) => Deadline::after(duration),
            Self::Until(deadline) => deadline,
        }
    }
}

/// Why a confirmation, or a change before it, was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfirmationError {
    /// No rules wait for a confirmation.
    #[error("generation {0} does not wait for a confirmation")]
    NotWaiting(Generation),
    /// Rules wait for their confirmation, which must come before any other change.
    #[error(
        "generation {generation} waits for its confirmation, {} more",
        seconds(deadline.remaining())
    )]
    Waiting {
        /// The generation that waits.
        generation: Generation,
        /// Its deadline.
        deadline: Deadline,
    },
    /// The rules were not confirmed in time, and no rules were in force before.
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

/// Confirms `generation`, which must be in force, and returns the message. From then on it stays
/// even if the daemon dies.
///
/// # Errors
///
/// When it does not wait for a confirmation, or the mark cannot be removed.
pub(crate) fn confirm(pins: &Pins, generation: Generation) -> Result<String, ConfirmationError> {
    if Pinned::unconfirmed(pins, generation)?.is_none() {
        return Err(ConfirmationError::NotWaiting(generation));
    }
    pins::unpin(&pins.kept(Kept::Unconfirmed, generation))?;
    Ok(format!("generation {generation} confirmed"))
}

/// Rules that wait for a confirmation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AwaitingConfirmation {
    /// Their generation.
    pub(crate) generation: Generation,
    /// The generation of the rollback; `None` to unload everything.
    pub(crate) previous: Option<Generation>,
    /// The remaining time.
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

/// A duration in whole seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64().round())
}
