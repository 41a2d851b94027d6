//! What is measured where.

use std::{env, path::PathBuf, thread, time::Duration};

use anyhow::{Result, bail};
use benches::{cost::contestant::Site, interrupt::Interrupt};
use clap::Args;

/// The arguments that name it.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The CPU that does the work; else the last
    #[arg(long)]
    cpu: Option<usize>,
    /// The `firewall` command; else the one beside this program
    #[arg(long, value_name = "PATH")]
    firewall: Option<PathBuf>,
}

impl Place {
    /// What contestants need to be set up.
    pub(crate) fn site(&self, interrupt: Interrupt, patience: Duration) -> Result<Site> {
        let firewall = match &self.firewall {
            Some(path) => path.clone(),
            None => env::current_exe()?.with_file_name("firewall"),
        };
        if !firewall.is_file() {
            bail!(
                "there is no `firewall` command at `{}`\n\
                 help: run `make build`, or name it with `--firewall`",
                firewall.display()
            );
        }
        Ok(Site {
            firewall: firewall.canonicalize()?,
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
