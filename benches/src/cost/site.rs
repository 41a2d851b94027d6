//! What subjects need to be set up.

use std::{path::PathBuf, time::Duration};

use crate::interrupt::Interrupt;

/// What subjects need to be set up.
#[derive(Clone, Debug)]
pub struct Site {
    /// The `firewall` command.
    pub firewall: PathBuf,
    /// Whether a signal asked the process to end.
    pub interrupt: Interrupt,
    /// How long setting one up may take.
    pub patience: Duration,
}
