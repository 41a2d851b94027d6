//! Why a filter cannot be changed.

use std::io;

use rules::model::Place;

use crate::{
    error::UserError,
    filter::{attachments::AttachmentError, plan::Occupied},
    generation::succession::SuccessionError,
    kernel::{
        bans::BanMapsError,
        counters::CountersError,
        events::EventsError,
        flows::{FlowTable, FlowsError},
        images::ImageError,
        link,
        pins::PinError,
        program::LoadError,
    },
    text::format::{bytes, grouped},
};

/// Why a plan could not be executed; its completed steps are undone.
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
    /// The table of flows.
    #[error(transparent)]
    Flows(#[from] FlowsError),
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
    /// Whether the kernel has no memory for the table of flows.
    pub(crate) fn is_about_flows(&self) -> bool {
        match self {
            Self::Load(LoadError::Flows(_)) => true,
            Self::Flows(FlowsError::Map(error)) => error.kind() == io::ErrorKind::OutOfMemory,
            Self::Load(_)
            | Self::Flows(_)
            | Self::Image(_)
            | Self::Counters(_)
            | Self::Attachment(_)
            | Self::Pin(_)
            | Self::Bans(_)
            | Self::Events(_) => false,
        }
    }

    /// The interface whose settings prevent attaching.
    pub(crate) fn unsuitable(&self) -> Option<&str> {
        match self {
            Self::Attachment(AttachmentError::Attach(error)) => error.unsuitable(),
            Self::Attachment(
                AttachmentError::Pin(_)
                | AttachmentError::NoLink(_)
                | AttachmentError::NoProgram(_),
            )
            | Self::Image(_)
            | Self::Counters(_)
            | Self::Load(_)
            | Self::Pin(_)
            | Self::Bans(_)
            | Self::Events(_)
            | Self::Flows(_) => None,
        }
    }
}

impl UserError for FilterError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Load(error) => error.help(),
            Self::Attachment(AttachmentError::Attach(error)) => error.help(),
            Self::Image(error) => error.help(),
            Self::Attachment(
                AttachmentError::Pin(_)
                | AttachmentError::NoLink(_)
                | AttachmentError::NoProgram(_),
            )
            | Self::Counters(_)
            | Self::Pin(_)
            | Self::Events(_)
            | Self::Flows(_) => None,
            Self::Bans(error) => error.help(),
        }
    }
}

/// The table of flows does not fit in memory.
#[derive(Debug, thiserror::Error)]
#[error(
    "`max` in `[flows]`{} is too large: a table of {} flows takes {}",
    in_line(*place),
    grouped((*max).into()),
    bytes(FlowTable::memory(*max))
)]
pub(crate) struct FlowsTooLargeError {
    /// What the kernel said.
    #[source]
    pub(crate) error: FilterError,
    /// Where `max` is written, if it is.
    pub(crate) place: Option<Place>,
    /// What it is.
    pub(crate) max: u32,
}

fn in_line(place: Option<Place>) -> String {
    place.map_or_else(String::new, |Place { line, column }| {
        format!(", line {line}, column {column},")
    })
}

impl UserError for FlowsTooLargeError {
    fn help(&self) -> Option<String> {
        Some("half as many flows take half of it; `firewall flows --count` says how many there are; nothing was loaded".into())
    }
}

/// An interface that has another program.
#[derive(Debug, thiserror::Error)]
#[error("{occupied}: {program}")]
pub(crate) struct OccupiedError {
    /// The interface and the kernel's number for the program.
    pub(crate) occupied: Occupied,
    /// The name of the program.
    pub(crate) program: String,
}

impl UserError for OccupiedError {
    fn help(&self) -> Option<String> {
        Some(link::occupied_help(&self.occupied.interface))
    }
}

/// An interface refuses the program because of its settings.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct UnsuitableError {
    /// What the kernel said.
    #[source]
    pub(crate) error: FilterError,
    /// The settings that prevent it, and how to fix them.
    pub(crate) obstacles: String,
}

impl UserError for UnsuitableError {
    fn help(&self) -> Option<String> {
        Some(self.obstacles.clone())
    }
}
