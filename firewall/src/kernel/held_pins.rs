//! The pins of this process, and their audit.
//!
//! The objects are held by descriptors, so that a pin that was removed, or that another BPF file
//! system hides, can be recreated: without it the next process could not take over.

use std::{
    error::Error,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use crate::kernel::pins::{self, PinError, PinState, PinnedObject, Pins, Shared};

/// Pins and the objects that they hold.
pub(crate) struct HeldPins {
    pins: Pins,
    held: Vec<(PathBuf, OwnedFd)>,
}

/// The result of an audit of the pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// The missing pins, which were recreated.
    pub(crate) restored: Vec<PathBuf>,
    /// The pins that hold other objects.
    pub(crate) foreign: Vec<PathBuf>,
}

impl HeldPins {
    /// Opens the objects that are pinned now: program, maps, and the maps that outlive programs. A
    /// failure is logged; then nothing is held, and missing pins are not recreated.
    pub(crate) fn open(pins: &Pins) -> Self {
        let held = held(pins).unwrap_or_else(|error| {
            let error: &dyn Error = &error;
            tracing::error!(event = "pins_not_held", error, "the pins cannot be watched");
            Vec::new()
        });
        Self {
            pins: pins.clone(),
            held,
        }
    }

    /// Compares the pins with the objects held, and with `links`, and recreates missing pins.
    ///
    /// # Errors
    ///
    /// When a pin cannot be read or made.
    pub(crate) fn audit<'a>(
        &'a self,
        links: impl IntoIterator<Item = (PathBuf, BorrowedFd<'a>)>,
    ) -> Result<Audit, PinError> {
        let own = self
            .held
            .iter()
            .map(|(path, object)| (path.clone(), object.as_fd()));
        let mut audit = Audit::default();
        for (path, object) in own.chain(links) {
            match pins::state(&path, object)? {
                PinState::Same => {}
                PinState::Missing => {
                    self.pins.create_folder()?;
                    pins::pin(object, &path)?;
                    audit.restored.push(path);
                }
                PinState::Foreign => audit.foreign.push(path),
            }
        }
        Ok(audit)
    }
}

fn held(pins: &Pins) -> Result<Vec<(PathBuf, OwnedFd)>, PinError> {
    let objects = PinnedObject::ALL.map(|object| pins.object(object));
    let shared = Shared::ALL.map(|object| pins.shared(object));
    let mut held = Vec::new();
    for path in objects.into_iter().chain(shared) {
        if let Some(object) = pins::open(&path)? {
            held.push((path, object));
        }
    }
    Ok(held)
}
