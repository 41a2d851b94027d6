//! A generation whose image is in the kernel, and its revival: the same image under a new number,
//! with the counters of its rules.

use rules::{compiler, model::Mode};

use crate::{
    error::UserError,
    generation::{
        classifier::Classifier,
        deadline::Deadline,
        loadable::Loadable,
        metadata::{Metadata, MetadataError},
        slots::Assignment,
    },
    kernel::{
        generation::Generation,
        image_size::ImageSize,
        images::{Image, ImageError},
        info::InfoError,
        note::Note,
        pins::{Kept, Pins},
        slot::Slot,
    },
};

/// A generation in the kernel.
pub(crate) struct Pinned {
    /// Its image.
    pub(crate) image: Image,
    /// Its metadata.
    pub(crate) metadata: Metadata,
    /// Whether the image has the layout of this version. Another one goes on with the program that it was made for, and
    /// never comes back.
    pub(crate) has_own_layout: bool,
}

/// Why a generation in the kernel cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinnedError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Its map.
    #[error(transparent)]
    Map(#[from] InfoError),
    /// Its metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The image does not have the format of this version.
    #[error("the image of generation {0} is damaged")]
    Damaged(Generation),
    /// It was made for programs of another version.
    #[error("generation {0} was loaded by another version of this program, and cannot come back")]
    OtherLayout(Generation),
    /// There is no such generation.
    #[error("no generation before generation {0} is kept")]
    NoPrevious(Generation),
}

impl UserError for PinnedError {
    fn help(&self) -> Option<String> {
        match self {
            Self::OtherLayout(_) => Some(
                "it goes on filtering; if it waits for its confirmation, run `firewall confirm`, and start without \
                 `--confirm`"
                    .into(),
            ),
            Self::Image(_) | Self::Map(_) | Self::Metadata(_) | Self::Damaged(_) | Self::NoPrevious(_) => None,
        }
    }
}

impl Pinned {
    /// Reads the metadata of an image.
    pub(crate) fn of(image: Image) -> Result<Self, PinnedError> {
        let description = image.describe()?;
        Ok(Self {
            metadata: Metadata::from_bytes(&description.metadata)?,
            has_own_layout: description.has_own_layout(),
            image,
        })
    }

    /// The previous generation, if it is kept and can come back.
    pub(crate) fn previous(pins: &Pins, in_force: Generation) -> Result<Option<Self>, PinnedError> {
        let image = Image::open(&pins.kept(Kept::Previous, in_force))?;
        let previous = image.map(Self::of).transpose()?;
        Ok(previous.filter(|previous| previous.has_own_layout))
    }

    /// The deadline of the confirmation of the generation in force, if it needs one.
    pub(crate) fn unconfirmed(
        pins: &Pins,
        in_force: Generation,
    ) -> Result<Option<Deadline>, ImageError> {
        let noted = Note::read(&pins.kept(Kept::Unconfirmed, in_force))?;
        Ok(noted.map(Deadline::of_number))
    }

    /// The image and its metadata.
    pub(crate) fn as_before(&self) -> (&Image, &Metadata) {
        (&self.image, &self.metadata)
    }

    /// The same as generation `generation`, while the rules with the slots in `held` keep these.
    pub(crate) fn again(
        &self,
        generation: Generation,
        held: impl IntoIterator<Item = Slot>,
    ) -> Result<Revived, PinnedError> {
        let damaged = || PinnedError::Damaged(self.metadata.generation);
        let metadata = self.metadata.again(generation);
        let image =
            compiler::reissue(&self.image.bytes()?, &metadata.to_bytes()?).ok_or_else(damaged)?;
        let slots = metadata.all_slots().collect();
        Ok(Revived {
            size: ImageSize::for_length(image.len()).ok_or_else(damaged)?,
            assignment: Assignment::back(slots, held).ok_or_else(damaged)?,
            mode: metadata.mode().ok_or_else(damaged)?,
            metadata,
            image,
        })
    }
}

/// Whether the image in the kernel classifies and counts every packet as `other` does; `false` if
/// it cannot be read.
pub(crate) fn classifies_as(image: &Image, other: &[u8]) -> bool {
    let bytes = image.bytes();
    bytes.is_ok_and(|bytes| compiler::is_same(&bytes, other))
}

/// An earlier generation to bring into force again.
pub(crate) struct Revived {
    /// Its metadata.
    pub(crate) metadata: Metadata,
    /// Its requested mode.
    pub(crate) mode: Mode,
    assignment: Assignment,
    image: Vec<u8>,
    size: ImageSize,
}

impl Revived {
    /// The input for the kernel.
    pub(crate) fn loadable(&self) -> Loadable<'_> {
        Loadable {
            metadata: &self.metadata,
            assignment: &self.assignment,
            image: &self.image,
            size: self.size,
        }
    }

    /// The generation as a classifier of frames.
    pub(crate) fn classifier(&self) -> Classifier<'_> {
        Classifier::new(&self.image, self.assignment.slots.iter().copied())
    }
}
