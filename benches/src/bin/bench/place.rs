//! The firewall to measure, and the CPU.

use std::{path::PathBuf, thread, time::Duration};

use anyhow::Result;
use benches::{cost::site::Site, interrupt::Interrupt, sandbox};
use clap::Args;

/// The arguments for both.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The CPU that does the work. Default: the last
    #[arg(long)]
    cpu: Option<usize>,
    /// The `firewall` command. Default: the one beside this program
    #[arg(long, value_name = "PATH")]
    firewall: Option<PathBuf>,
}

impl Place {
    /// The environment in which subjects are set up.
    pub(crate) fn site(&self, interrupt: Interrupt, patience: Duration) -> Result<Site> {
        Ok(Site {
            firewall: sandbox::firewall(self.firewall.as_deref())?,
            interrupt,
            patience,
        })
    }

    /// The CPU.
    pub(crate) fn cpu(&self) -> Result<usize> {
        Ok(match self.cpu {
            Some(cpu) => cpu,
            None => thread::available_parallelism()?.get() - 1,
        })
    }
}
