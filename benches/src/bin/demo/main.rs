//! The demonstration: real packets are passed and dropped by rules, the rules change while traffic
//! flows, and nothing is left behind.

mod edit;
mod firewall;
mod flows;
mod ledger;
mod table;
mod tour;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use benches::{interrupt::Interrupt, sandbox};
use clap::Parser;

/// Shows the firewall at work on a test network, and checks every number it prints.
#[derive(Debug, Parser)]
struct DemoArgs {
    /// The `firewall` command. Default: the one beside this program.
    #[arg(long)]
    firewall: Option<PathBuf>,
    /// The original rule file.
    #[arg(long, default_value = "rules/samples/demo.toml")]
    rules: PathBuf,
    /// Packets a second.
    #[arg(long, default_value_t = 4000)]
    rate: u32,
    /// Seconds of each of the three stages of traffic.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// The seed of the traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = DemoArgs::parse();
    match sandbox::enter().and_then(|interrupt| run(&arguments, &interrupt)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &DemoArgs, interrupt: &Interrupt) -> Result<()> {
    let binary = sandbox::firewall(arguments.firewall.as_deref())?;
    let plan = tour::TourOptions {
        rules: &arguments.rules,
        rate: arguments.rate,
        seconds: arguments.seconds,
        seed: arguments.seed,
    };
    tour::run(&binary, &plan, interrupt)
}
