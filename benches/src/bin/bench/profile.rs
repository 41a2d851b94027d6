//! `bench profile`.

use std::time::Duration;

use anyhow::Result;
use benches::{cost::profile, interrupt::Interrupt};
use clap::Args;

use crate::{
    cost::{Drawn, seconds},
    place::Place,
};

/// The timeout of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// `bench profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    #[command(flatten)]
    drawn: Drawn,
    /// The duration of the measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[command(flatten)]
    place: Place,
}

impl ProfileArgs {
    /// Measures, and prints the shares.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let case = self.drawn.case()?;
        let site = self.place.site(interrupt, PATIENCE)?;
        let time = seconds(self.seconds)?;
        print!(
            "{}",
            profile::measure(&case, time, self.place.cpu()?, &site)?
        );
        Ok(())
    }
}
