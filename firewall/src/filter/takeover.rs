//! The objects that an earlier process left pinned: the initial state of a process that takes over.
//!
//! A process that was killed while it switched to a new program leaves objects under both names,
//! and some interfaces may run the old program, others the new one. The rules of all generations
//! found keep their slots, which never clash: a new rule takes no slot that a rule found has.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    error::UserError,
    filter::{
        attachments::{self, Attachment, AttachmentError},
        plan::Present,
    },
    generation::{
        deadline::Deadline,
        metadata::MetadataError,
        pinned::{Pinned, PinnedError},
    },
    kernel::{
        counters::{Count, Counters, CountersError},
        generation::Generation,
        images::{ImageError, Images},
        pins::{self, PinError, PinnedObject, Pins},
        slot::Slot,
    },
};

/// The pinned objects.
#[derive(Default)]
pub(crate) struct Takeover {
    /// The links.
    pub(crate) attachments: Vec<Attachment>,
    /// The generation in force.
    pub(crate) in_force: Option<Pinned>,
    /// The previous generation, if it is kept.
    pub(crate) previous: Option<Pinned>,
    /// The deadline of the confirmation of the generation in force, if it needs one.
    pub(crate) confirm_by: Option<Deadline>,
    /// The SHA-256 of the rule files of all generations found, in hexadecimal.
    files: Vec<String>,
    slots: BTreeMap<String, Slot>,
    held: BTreeSet<Slot>,
    counters: Option<Counters>,
    /// The counters of interrupted changes.
    interrupted: Vec<Counters>,
    /// The highest generation that left an object.
    generation: Option<Generation>,
}

/// Why the pinned objects cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeoverError {
    /// An image's metadata.
    #[error("cannot take over what is loaded")]
    Pinned(#[from] PinnedError),
    /// The image.
    #[error("cannot take over what is loaded")]
    Image(#[from] ImageError),
    /// The counters.
    #[error("cannot take over what is loaded")]
    Counters(#[from] CountersError),
    /// The links.
    #[error("cannot take over what is loaded")]
    Attachment(#[from] AttachmentError),
    /// The pins.
    #[error("cannot take over what is loaded")]
    Pin(#[from] PinError),
}

impl UserError for TakeoverError {
    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Pinned(
                PinnedError::Metadata(MetadataError::OtherVersion { .. })
                | PinnedError::Image(ImageError::Layout { .. }),
            ) => {
                "it goes on filtering; use the version of this program that loaded it, or remove \
                 it with `firewall unload`: filtering stops until the next `firewall apply`"
            }
            Self::Pinned(_)
            | Self::Image(_)
            | Self::Counters(_)
            | Self::Attachment(_)
            | Self::Pin(_) => {
                "it goes on filtering; `firewall unload` removes it, and filtering stops until the \
                 next `firewall apply`"
            }
        };
        Some(help.into())
    }
}

impl Takeover {
    /// Opens the pinned objects; all parts are empty when there are none.
    pub(crate) fn open(pins: &Pins) -> Result<Self, TakeoverError> {
        let mut found = Self {
            attachments: attachments::open(pins)?,
            counters: counters(&pins.object(PinnedObject::Counters))?,
            ..Self::default()
        };
        if let Some(in_force) = found.add_images(&pins.object(PinnedObject::Images))? {
            found.previous = Pinned::previous(pins, in_force.metadata.generation)?;
            found.confirm_by = Pinned::unconfirmed(pins, in_force.metadata.generation)?;
            found.in_force = Some(in_force);
        }
        if let Some(previous) = &found.previous {
            found.held = previous.metadata.all_slots().collect();
        }
        for (generation, object) in pins.interrupted()? {
            let path = pins.next(generation, object);
            match object {
                PinnedObject::Images => {
                    found.add_images(&path)?;
                }
                PinnedObject::Counters => found.interrupted.extend(counters(&path)?),
                PinnedObject::Program
                | PinnedObject::BareIngress
                | PinnedObject::Egress
                | PinnedObject::BareEgress
                | PinnedObject::Flows(_) => {}
            }
            found.generation = found.generation.max(Some(generation));
        }
        Ok(found)
    }

    fn add_images(&mut self, path: &Path) -> Result<Option<Pinned>, TakeoverError> {
        if pins::open(path)?.is_none() {
            return Ok(None);
        }
        let Some(image) = Images::open(path)?.in_force()? else {
            return Ok(None);
        };
        let earlier = Pinned::of(image)?;
        self.slots.extend(earlier.metadata.slots());
        self.files.push(earlier.metadata.sha256.clone());
        self.generation = self.generation.max(Some(earlier.metadata.generation));
        Ok(Some(earlier))
    }

    /// Whether nothing is pinned.
    pub(crate) fn is_empty(&self) -> bool {
        self.attachments.is_empty() && self.generation.is_none() && self.counters.is_none()
    }

    /// Whether a generation found has the rule file with this SHA-256.
    pub(crate) fn is_of(&self, sha256: &str) -> bool {
        self.files.iter().any(|file| file == sha256)
    }

    /// The generation that follows.
    pub(crate) fn next_generation(&self) -> Generation {
        self.generation.map_or(Generation::FIRST, Generation::next)
    }

    /// The slots that images in force count in.
    pub(crate) fn slots(&self) -> &BTreeMap<String, Slot> {
        &self.slots
    }

    /// The slots of the rules of the previous generation.
    pub(crate) fn held(&self) -> &BTreeSet<Slot> {
        &self.held
    }

    /// The counters whose counts go on.
    pub(crate) fn counted(&self) -> Vec<Counted<'_>> {
        let counted = |counters, alone| Counted { counters, alone };
        let own = self
            .counters
            .iter()
            .map(|counters| counted(counters, false));
        // The counts that these had carried over are taken from their predecessors.
        let later = self
            .interrupted
            .iter()
            .map(|counters| counted(counters, true));
        own.chain(later).collect()
    }

    /// The present state of the kernel, for a plan.
    pub(crate) fn present(&self) -> Result<Present, AttachmentError> {
        Ok(Present {
            flows: None,
            size: None,
            capacity: match &self.counters {
                Some(counters) if self.interrupted.is_empty() => Some(counters.capacity()),
                Some(_) | None => None,
            },
            links: attachments::inspect(&self.attachments)?,
        })
    }
}

fn counters(path: &Path) -> Result<Option<Counters>, TakeoverError> {
    Ok(match pins::open(path)? {
        Some(_) => Some(Counters::open(path)?),
        None => None,
    })
}

/// A counters map whose counts go on.
pub(crate) struct Counted<'a> {
    /// The map.
    pub(crate) counters: &'a Counters,
    /// Whether to take only the counts of this map, without those of its predecessors.
    pub(crate) alone: bool,
}

impl Counted<'_> {
    /// The count of a slot.
    pub(crate) fn read(&self, slot: Slot) -> Result<Count, CountersError> {
        if self.alone {
            self.counters.read_own(slot)
        } else {
            self.counters.read(slot)
        }
    }
}
