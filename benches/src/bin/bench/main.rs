//! The benchmarks.

mod all;
mod bans;
mod cost;
mod egress;
mod place;
mod profile;
mod state;

use std::process::ExitCode;

use anyhow::Result;
use benches::sandbox;
use clap::{Parser, Subcommand};

/// Measures the firewall and compares it with others.
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
    /// Measure the cost of a packet with your own rule file
    Cost(cost::CostArgs),
    /// Compare the cost of a packet for several firewalls with the same rules
    Compare(cost::CompareArgs),
    /// Measure bans: time, memory, and the cost of a packet with them
    Bans(bans::BansArgs),
    /// Measure rules that ask for the states of packets, beside connection tracking
    State(state::StateArgs),
    /// Measure packets that the machine sends, with programs at the egress hook
    Egress(egress::EgressArgs),
    /// Show how much of its time the firewall's program spends in each of its parts, using `perf`
    Profile(profile::ProfileArgs),
    /// Measure everything, and write a report
    ///
    /// A missed target or a refused rule set is a row of the report and not a failure, except that
    /// `--strict` makes missed targets fail. A measurement that goes wrong is a failure.
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
        Command::State(state) => state.run(interrupt),
        Command::Egress(egress) => egress.run(interrupt),
        Command::Profile(profile) => profile.run(interrupt),
        Command::All(all) => all.run(interrupt),
    }
}
