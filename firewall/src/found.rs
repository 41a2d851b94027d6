//! What an earlier process left pinned: the starting point of a process that takes over.
//!
//! A process that was killed while a new program took over leaves objects under both names, and
//! some interfaces may run the one program, some the other. The rules of all generations found
//! keep their slots, which never clash: a new rule takes no slot that a rule found has.

use std::{collections::BTreeMap, path::Path};

use crate::{
    attachments::{self, Attachment, AttachmentError},
    generation::{Generation, Metadata, MetadataError},
    kernel::{
        counters::{Count, Counters, CountersError},
        images::{ImageError, Images},
        pins::{self, Object, PinError, Pins},
    },
    plan::Present,
    slots::Slot,
};

/// What is pinned.
#[derive(Default)]
pub(crate) struct Found {
    /// The links.
    pub(crate) attachments: Vec<Attachment>,
    /// The generation in force, and those of interrupted changes.
    pub(crate) metadata: Vec<Metadata>,
    slots: BTreeMap<String, Slot>,
    counters: Option<Counters>,
    /// The counters of interrupted changes.
    interrupted: Vec<Counters>,
    /// The highest generation that left anything.
    generation: Option<Generation>,
}

/// Why what is pinned cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoundError {
    /// The metadata.
    #[error("cannot take over what is loaded")]
    Metadata(#[from] MetadataError),
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

impl FoundError {
    /// What the user can do.
    pub(crate) const HELP: &str =
        "`firewall unload` removes it, and filtering stops until the next `firewall apply`";
}

impl Found {
    /// Opens what is pinned; all parts are empty when nothing is.
    pub(crate) fn open(pins: &Pins) -> Result<Self, FoundError> {
        let mut found = Self {
            attachments: attachments::open(pins)?,
            counters: counters(&pins.object(Object::Counters))?,
            ..Self::default()
        };
        found.add_images(&pins.object(Object::Images))?;
        for (generation, object) in pins.interrupted()? {
            let path = pins.next(generation, object);
            match object {
                Object::Images => found.add_images(&path)?,
                Object::Counters => found.interrupted.extend(counters(&path)?),
                Object::Program => {}
            }
            found.generation = found.generation.max(Some(generation));
        }
        Ok(found)
    }

    fn add_images(&mut self, path: &Path) -> Result<(), FoundError> {
        if pins::open(path)?.is_none() {
            return Ok(());
        }
        if let Some(image) = Images::open(path)?.in_force()? {
            let metadata = Metadata::from_bytes(&image.describe()?.metadata)?;
            self.slots.extend(metadata.slots());
            self.generation = self.generation.max(Some(metadata.generation));
            self.metadata.push(metadata);
        }
        Ok(())
    }

    /// Whether nothing is pinned.
    pub(crate) fn is_empty(&self) -> bool {
        self.attachments.is_empty() && self.metadata.is_empty() && self.counters.is_none()
    }

    /// The generation that follows.
    pub(crate) fn next_generation(&self) -> Generation {
        self.generation.map_or(Generation::FIRST, Generation::next)
    }

    /// The slots that images in force count in.
    pub(crate) fn slots(&self) -> &BTreeMap<String, Slot> {
        &self.slots
    }

    /// The counters whose counts go on.
    pub(crate) fn counted(&self) -> Vec<Counted<'_>> {
        let counted = |counters, alone| Counted {
            slots: &self.slots,
            counters,
            alone,
        };
        let own = self
            .counters
            .iter()
            .map(|counters| counted(counters, false));
        // What these had carried over is in those before, from where it is taken.
        let later = self
            .interrupted
            .iter()
            .map(|counters| counted(counters, true));
        own.chain(later).collect()
    }

    /// What is in the kernel, for a plan.
    pub(crate) fn present(&self) -> Result<Present, AttachmentError> {
        Ok(Present {
            size: None,
            capacity: match &self.counters {
                Some(counters) if self.interrupted.is_empty() => Some(counters.capacity()),
                Some(_) | None => None,
            },
            links: attachments::inspect(&self.attachments)?,
        })
    }
}

fn counters(path: &Path) -> Result<Option<Counters>, FoundError> {
    Ok(match pins::open(path)? {
        Some(_) => Some(Counters::open(path)?),
        None => None,
    })
}

/// A counters map whose counts belong to the rules of these slots.
pub(crate) struct Counted<'a> {
    /// The slot of each rule by name.
    pub(crate) slots: &'a BTreeMap<String, Slot>,
    /// The map.
    pub(crate) counters: &'a Counters,
    /// Whether only what was counted in this very map is to be taken.
    pub(crate) alone: bool,
}

impl Counted<'_> {
    /// What the slot has counted.
    pub(crate) fn read(&self, slot: Slot) -> Result<Count, CountersError> {
        if self.alone {
            self.counters.read_own(slot)
        } else {
            self.counters.read(slot)
        }
    }
}
