//! The pins of this process, and their audit.
//!
//! The objects are held by descriptors, so that a pin that was removed, or that another BPF file
//! system hides, can be recreated: without it the next process could not take over.

use std::{
    collections::BTreeMap,
    error::Error,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::kernel::{
    generation::Generation,
    hook::Hook,
    pins::{self, FlowObject, Kept, PinError, PinState, PinnedObject, Pins, Shared},
};

/// Pins and the objects that they hold.
pub(crate) struct HeldPins {
    pins: Pins,
    held: Vec<(PathBuf, OwnedFd)>,
    /// The programs of the hooks of traffic control.
    programs: Vec<(PathBuf, Arc<OwnedFd>)>,
    /// What is kept for the generation in force.
    kept: Vec<(PathBuf, OwnedFd)>,
}

/// The result of an audit of the pins.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The missing pins, which were recreated.
    pub(crate) restored: Vec<PathBuf>,
    /// The pins that hold other objects.
    pub(crate) foreign: Vec<PathBuf>,
    /// Why others could not be read or made.
    pub(crate) failed: Vec<PinError>,
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
            programs: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Holds these programs of the hooks of traffic control, which come and go with links.
    pub(crate) fn hold(&mut self, programs: &BTreeMap<Hook, Arc<OwnedFd>>) {
        let programs = programs.iter().filter(|(hook, _)| **hook != Hook::Xdp);
        self.programs = programs
            .map(|(hook, program)| {
                (
                    self.pins.object(PinnedObject::program_of(*hook)),
                    Arc::clone(program),
                )
            })
            .collect();
    }

    /// Opens what is kept for `generation`, which has come into force. A failure is logged.
    pub(crate) fn keep(&mut self, generation: Generation) {
        let paths = Kept::ALL.map(|kept| self.pins.kept(kept, generation));
        self.kept = opened(paths).unwrap_or_else(|error| {
            let error: &dyn Error = &error;
            tracing::error!(event = "pins_not_held", error, "the pins cannot be watched");
            Vec::new()
        });
    }

    /// Forgets the deadline of `generation`, which was confirmed.
    pub(crate) fn confirm(&mut self, generation: Generation) {
        let confirmed = self.pins.kept(Kept::Unconfirmed, generation);
        self.kept.retain(|(path, _)| *path != confirmed);
    }

    /// Compares the pins with the objects held, and with `links`, and recreates missing pins.
    pub(crate) fn audit<'a>(
        &'a self,
        links: impl IntoIterator<Item = (PathBuf, BorrowedFd<'a>)>,
    ) -> Audit {
        let own = self
            .held
            .iter()
            .chain(&self.kept)
            .map(|(path, object)| (path.clone(), object.as_fd()));
        let programs = self.programs.iter();
        let programs = programs.map(|(path, program)| (path.clone(), program.as_fd()));
        let mut audit = Audit::default();
        for (path, object) in own.chain(programs).chain(links) {
            match self.repaired(&path, object) {
                Ok(PinState::Same) => {}
                Ok(PinState::Missing) => audit.restored.push(path),
                Ok(PinState::Foreign) => audit.foreign.push(path),
                Err(error) => audit.failed.push(error),
            }
        }
        audit
    }

    /// The state of a pin before it was recreated, if it was missing.
    fn repaired(&self, path: &Path, object: BorrowedFd<'_>) -> Result<PinState, PinError> {
        let state = pins::state(path, object)?;
        if state == PinState::Missing {
            self.pins.create_folder()?;
            pins::pin(object, path)?;
        }
        Ok(state)
    }
}

fn held(pins: &Pins) -> Result<Vec<(PathBuf, OwnedFd)>, PinError> {
    let objects = [
        PinnedObject::Counters,
        PinnedObject::Images,
        PinnedObject::Program,
    ];
    let flows = FlowObject::ALL.map(PinnedObject::Flows);
    let objects = objects.into_iter().chain(flows);
    let objects = objects.map(|object| pins.object(object));
    let shared = Shared::ALL.map(|object| pins.shared(object));
    opened(objects.chain(shared))
}

fn opened(paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<(PathBuf, OwnedFd)>, PinError> {
    let mut held = Vec::new();
    for path in paths {
        if let Some(object) = pins::open(&path)? {
            held.push((path, object));
        }
    }
    Ok(held)
}
