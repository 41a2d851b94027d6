//! The state of the kernel before a switch.

use crate::{
    error::Error,
    filter::{plan::Present, takeover::Takeover, transaction::Filter},
    generation::metadata::Metadata,
    kernel::{generation::Generation, images::Image},
};

/// The state of the kernel before a switch.
pub(super) enum Current {
    /// The objects that an earlier process left; all parts may be empty.
    Left(Box<Takeover>),
    /// The filter that this process brought into force.
    Running(Box<Filter>),
}

impl Current {
    /// The metadata of the generation in force.
    pub(super) fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Left(left) => left.in_force.as_ref().map(|pinned| &pinned.metadata),
            Self::Running(filter) => Some(filter.metadata()),
        }
    }

    /// The image in force.
    pub(super) fn image(&self) -> Option<&Image> {
        match self {
            Self::Left(left) => left.in_force.as_ref().map(|pinned| &pinned.image),
            Self::Running(filter) => Some(filter.image()),
        }
    }

    /// Whether the generation in force, if there is one, can come back; not one that was made for programs of another
    /// version.
    pub(super) fn can_come_back(&self) -> bool {
        match self {
            Self::Left(left) => {
                let in_force = left.in_force.as_ref();
                in_force.is_none_or(|pinned| pinned.has_own_layout)
            }
            Self::Running(_) => true,
        }
    }

    /// The number of the generation that follows.
    pub(super) fn next_generation(&self) -> Generation {
        match self {
            Self::Left(left) => left.next_generation(),
            Self::Running(filter) => filter.metadata().generation.next(),
        }
    }

    /// The attachments, and the sizes of the maps.
    pub(super) fn present(&self) -> Result<Present, Error> {
        Ok(match self {
            Self::Left(left) => left.present()?,
            Self::Running(filter) => filter.present()?,
        })
    }
}
