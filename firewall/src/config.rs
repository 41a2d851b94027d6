//! What every command needs to know of its surroundings.

use std::path::{Path, PathBuf};

use crate::{kernel::pins::Pins, logging::lines};

/// What every command needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// A path in a BPF file system.
    pub(crate) bpffs: PathBuf,
    /// The name of the instance.
    pub(crate) instance: String,
    /// The pins of the instance.
    pub(crate) pins: Pins,
    /// The control socket and the lock of the instance.
    pub(crate) run: RunFiles,
    /// What is logged, and how.
    pub(crate) log: lines::Options,
}

/// The files of an instance in the run folder.
#[derive(Clone, Debug)]
pub(crate) struct RunFiles {
    /// The run folder.
    pub(crate) folder: PathBuf,
    /// The lock.
    pub(crate) lock: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
}

impl RunFiles {
    /// The files of `instance` in `folder`.
    pub(crate) fn new(folder: &Path, instance: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            lock: folder.join(format!("{instance}.lock")),
            socket: folder.join(format!("{instance}.sock")),
        }
    }
}
