//! What is in the kernel before a switch.

use crate::{
    error::Error,
    filter::{plan::Present, takeover::Takeover, transaction::Filter},
    generation::metadata::Metadata,
    kernel::{generation::Generation, images::Image},
};

/// What is in the kernel before a switch.
pub(super) enum Current {
    /// What an earlier process left; nothing, if all its parts are empty.
    Left(Box<Takeover>),
    /// What this process brought into force.
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

    /// The number of the generation that follows.
    pub(super) fn next_generation(&self) -> Generation {
        match self {
            Self::Left(left) => left.next_generation(),
            Self::Running(filter) => filter.metadata().generation.next(),
        }
    }

    /// What is attached, and how large the maps are.
    pub(super) fn present(&self) -> Result<Present, Error> {
        Ok(match self {
            Self::Left(left) => left.present()?,
            Self::Running(filter) => filter.present()?,
        })
    }
}
