//! `bench state`.

use std::time::Duration;

use anyhow::Result;
use benches::{cost::state, interrupt::Interrupt};
use clap::Args;

use crate::place::Place;

/// The timeout of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// `bench state`.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// The number of distinct packets of no flow
    #[arg(long, default_value_t = 1_000_000)]
    packets: usize,
    /// The number of rounds, each with 20,000 packets of its own for each firewall
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=200))]
    rounds: u32,
    #[command(flatten)]
    place: Place,
}

impl StateArgs {
    /// Measures, and prints the figures.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let site = self.place.site(interrupt, PATIENCE)?;
        let cpu = self.place.cpu()?;
        let cost = state::measure(self.packets, self.rounds, cpu, &site)?;
        print!("{cost}");
        Ok(())
    }
}
