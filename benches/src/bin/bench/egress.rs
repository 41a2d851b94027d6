//! `bench egress`.

use std::time::Duration;

use anyhow::Result;
use benches::{cost::egress, interrupt::Interrupt};
use clap::Args;

use crate::place::Place;

/// The timeout of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// `bench egress`.
#[derive(Debug, Args)]
pub(crate) struct EgressArgs {
    /// The number of rounds, each with 5,000 packets of its own for each program
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=400))]
    rounds: u16,
    #[command(flatten)]
    place: Place,
}

impl EgressArgs {
    /// Measures, and prints the figures.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let site = self.place.site(interrupt, PATIENCE)?;
        let cpu = self.place.cpu()?;
        let egress = egress::measure(self.rounds.into(), cpu, &site)?;
        print!("{egress}");
        Ok(())
    }
}
