//! The fate of the generation in force when another one replaces it.
//!
//! The whole image of the previous generation stays pinned, so that a rollback needs neither its
//! rule file nor this process. It is pinned under the number of its successor (see [`Kept`]) before
//! that comes into force, and has no meaning until then: the switch alone decides, and a process
//! that is killed before or after it leaves a definite state.

use std::error::Error;

use crate::{
    generation::{confirmation::Condition, deadline::Deadline, metadata::Metadata},
    kernel::{
        generation::Generation,
        images::{Image, ImageError},
        note::Note,
        pins::{self, Kept, PinError, Pins},
        undo::Undo,
    },
};

/// The fate of the generation in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Succession {
    /// It becomes the previous one.
    Follows,
    /// It comes into force again under another number: the previous one stays.
    Renews,
    /// It is discarded: afterwards there is no previous one.
    Abandons,
}

impl Succession {
    /// The previous generation afterwards, when `in_force` was in force and `previous` kept.
    pub(crate) fn previous<T>(self, in_force: Option<T>, previous: Option<T>) -> Option<T> {
        match self {
            Self::Follows => in_force,
            Self::Renews => previous,
            Self::Abandons => None,
        }
    }
}

/// The terms under which a generation comes into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitTerms {
    /// The fate of its predecessor.
    pub(crate) succession: Succession,
    /// The condition, if there is one.
    pub(crate) condition: Option<Condition>,
}

/// Why an image cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuccessionError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Its pin.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Keeps images while one generation follows another.
pub(crate) struct Keeper<'a> {
    /// Where they are pinned.
    pub(crate) pins: &'a Pins,
    /// On which terms the next one comes into force.
    pub(crate) terms: CommitTerms,
    /// The image of the generation before, and what it tells of itself.
    pub(crate) before: Option<(&'a Image, &'a Metadata)>,
}

impl Keeper<'_> {
    /// Right before the switch: pins what is to be kept once `generation` is in force. Returns
    /// until when that must be confirmed, if it must.
    pub(crate) fn keep(
        &self,
        generation: Generation,
        undo: &mut Undo,
    ) -> Result<Option<Deadline>, SuccessionError> {
        // A change to the same number that was interrupted would come true.
        for kept in Kept::ALL {
            pins::unpin(&self.pins.kept(kept, generation))?;
        }
        let mut place = |kept| {
            let path = self.pins.kept(kept, generation);
            let pin = path.clone();
            undo.push("remove a pin", move || pins::unpin(&pin));
            path
        };
        match (self.terms.succession, self.before) {
            (Succession::Follows, Some((image, _))) => image.pin(&place(Kept::Previous))?,
            (Succession::Renews, Some((_, before))) => {
                let previous = self.pins.kept(Kept::Previous, before.generation);
                if let Some(previous) = Image::open(&previous)? {
                    previous.pin(&place(Kept::Previous))?;
                }
            }
            (Succession::Abandons, _) | (Succession::Follows | Succession::Renews, None) => {}
        }
        let deadline = self.terms.condition.map(Condition::deadline);
        if let Some(deadline) = deadline {
            Note::create(deadline.number())?.pin(&place(Kept::Unconfirmed))?;
        }
        Ok(deadline)
    }

    /// After the switch: removes what is kept for other generations than `in_force`. What fails is
    /// logged: it means nothing any more.
    pub(crate) fn clear(&self, in_force: Generation) {
        let cleared = self.pins.all_kept().and_then(|all| {
            all.into_iter()
                .filter(|(_, generation)| *generation != in_force)
                .try_for_each(|(kept, generation)| pins::unpin(&self.pins.kept(kept, generation)))
        });
        if let Err(error) = cleared {
            let error: &dyn Error = &error;
            tracing::error!(
                event = "image_still_pinned",
                error,
                "the image of an old generation is still pinned"
            );
        }
    }
}
