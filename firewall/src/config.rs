//! The instance that a command is about, and its paths.

use std::path::{Path, PathBuf};

use crate::kernel::pins::Pins;

/// The instance that a command is about.
#[derive(Clone, Debug)]
pub struct Config {
    /// A path in a BPF file system.
    pub(crate) bpffs: PathBuf,
    /// The name of the instance.
    pub(crate) instance: String,
    /// The pins of the instance.
    pub(crate) pins: Pins,
    /// The control socket and the lock of the instance.
    pub(crate) run: RunFiles,
}

impl Config {
    /// The firewall called `instance`, with its pins under `bpffs` and its socket in `run_dir`.
    pub fn new(bpffs: PathBuf, run_dir: &Path, instance: String) -> Self {
        Self {
            pins: Pins::new(&bpffs, &instance),
            run: RunFiles::new(run_dir, &instance),
            bpffs,
            instance,
        }
    }
}

/// The files of an instance in the run folder.
#[derive(Clone, Debug)]
pub(crate) struct RunFiles {
    /// The run folder.
    pub(crate) folder: PathBuf,
    /// The lock file of the daemon.
    pub(crate) lock: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// The group whose members may read, which is that of this process; `None` without one.
    pub(crate) readers: Option<u32>,
}

impl RunFiles {
    /// The files of `instance` in `folder`.
    pub(crate) fn new(folder: &Path, instance: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            lock: folder.join(format!("{instance}.lock")),
            socket: folder.join(format!("{instance}.sock")),
            readers: None,
        }
    }
}
