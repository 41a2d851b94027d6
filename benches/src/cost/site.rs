//! The environment in which subjects are set up.

use std::{path::PathBuf, time::Duration};

use crate::interrupt::Interrupt;

/// The environment in which subjects are set up.
#[derive(Clone, Debug)]
pub struct Site {
    /// The `firewall` command.
    pub firewall: PathBuf,
    /// Whether a signal asked the process to end.
    pub interrupt: Interrupt,
    /// The timeout for setting one up.
    pub patience: Duration,
}
