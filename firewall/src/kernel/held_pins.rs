//! What this process has pinned, and whether it still is.
//!
//! The objects are held by descriptors, so that a pin that somebody removed, or that another BPF file system hides,
//! can be made again: without it the next process would find nothing to take over.

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

/// What an audit of the pins found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// The pins that were missing and are made again.
    pub(crate) restored: Vec<PathBuf>,
    /// The pins that hold other objects than this process.
    pub(crate) foreign: Vec<PathBuf>,
}

impl HeldPins {
    /// Opens the objects that are pinned now: program, maps, and the maps that outlive programs. When that fails,
    /// which is logged, nothing is held, and pins that go missing are not made again.
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

    /// Compares the pins with what this process holds, `links` among it, and makes those again that are missing.
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
