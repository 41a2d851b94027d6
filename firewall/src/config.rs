//! What every command needs to know of its surroundings.

use std::path::PathBuf;

use crate::{control::lock, kernel::pins::Pins, logging::lines};

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
    pub(crate) run: lock::Places,
    /// What is logged, and how.
    pub(crate) log: lines::Options,
}
