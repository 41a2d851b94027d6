//! The benchmarks.

mod all;
mod bans;
mod cost;
mod place;
mod profile;

use std::process::ExitCode;

use anyhow::Result;
use benches::sandbox;
use clap::{Parser, Subcommand};

/// Measures the firewall, beside others.
///
/// Everything happens in network namespaces made for the purpose; the interfaces of the machine
/// are not touched. Figures go to the standard output, progress to the standard error.
#[derive(Debug, Parser)]
#[command(name = "bench", version, max_term_width = 100)]
struct BenchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what a packet costs with a rule file of yours
    Cost(cost::CostArgs),
    /// Compare what a packet costs with several firewalls under the same rules
    Compare(cost::CompareArgs),
    /// Measure what bans take: time, memory, and what a packet costs with them
    Bans(bans::BansArgs),
    /// Say how much of its time the firewall's program spends in which of its parts, by `perf`
    Profile(profile::ProfileArgs),
    /// Measure everything, and write a report
    ///
    /// A missed target, and a rule set that is refused, are rows of the report and no failure, unless
    /// `--strict` asks for that. A measurement that goes wrong is one.
    All(all::AllArgs),
}

fn main() -> ExitCode {
    match run(BenchArgs::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let interrupt = sandbox::enter()?;
    match command {
        Command::Cost(cost) => cost.run(interrupt),
        Command::Compare(compare) => compare.run(interrupt),
        Command::Bans(bans) => bans.run(interrupt),
        Command::Profile(profile) => profile.run(interrupt),
        Command::All(all) => all.run(interrupt),
    }
}
