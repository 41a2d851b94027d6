//! `bench bans`.

use std::time::Duration;

use anyhow::Result;
use benches::{cost::bans, interrupt::Interrupt};
use clap::Args;

use crate::place::Place;

/// The timeout of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// `bench bans`.
#[derive(Debug, Args)]
pub(crate) struct BansArgs {
    /// The number of addresses to ban
    #[arg(default_value_t = 1_000_000)]
    count: usize,
    /// The number of rounds in which packets are measured, each with 20,000 packets of its own
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=200))]
    rounds: u32,
    #[command(flatten)]
    place: Place,
}

impl BansArgs {
    /// Measures, and prints the figures.
    pub(crate) fn run(&self, interrupt: Interrupt) -> Result<()> {
        let site = self.place.site(interrupt, PATIENCE)?;
        let cpu = self.place.cpu()?;
        let bans = bans::measure(self.count, self.rounds, cpu, &site)?;
        println!("{bans}");
        Ok(())
    }
}
