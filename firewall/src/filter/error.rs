//! Why a filter cannot be changed.

use crate::{
    filter::attachments::AttachmentError,
    generation::succession::SuccessionError,
    kernel::{
        bans::BanMapsError, counters::CountersError, events::EventsError, images::ImageError,
        pins::PinError, program::LoadError,
    },
};

/// Why a plan could not be executed; whatever it had done is undone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The counters.
    #[error(transparent)]
    Counters(#[from] CountersError),
    /// The program.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The links.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// The pins.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The maps of the bans.
    #[error(transparent)]
    Bans(#[from] BanMapsError),
    /// The maps of logged packets.
    #[error(transparent)]
    Events(#[from] EventsError),
}

impl From<SuccessionError> for FilterError {
    fn from(error: SuccessionError) -> Self {
        match error {
            SuccessionError::Image(error) => error.into(),
            SuccessionError::Pin(error) => error.into(),
        }
    }
}

impl FilterError {
    /// The interface whose settings are in the way.
    pub(crate) fn unsuitable(&self) -> Option<&str> {
        match self {
            Self::Attachment(AttachmentError::Attach(error)) => error.unsuitable(),
            Self::Attachment(AttachmentError::Pin(_) | AttachmentError::NoLink(_))
            | Self::Image(_)
            | Self::Counters(_)
            | Self::Load(_)
            | Self::Pin(_)
            | Self::Bans(_)
            | Self::Events(_) => None,
        }
    }

    /// What the user can do.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Load(error) => error.help(),
            Self::Attachment(AttachmentError::Attach(error)) => error.help(),
            Self::Image(error) => error.help(),
            Self::Attachment(AttachmentError::Pin(_) | AttachmentError::NoLink(_))
            | Self::Counters(_)
            | Self::Pin(_)
            | Self::Events(_) => None,
            Self::Bans(error) => error.help(),
        }
    }
}
