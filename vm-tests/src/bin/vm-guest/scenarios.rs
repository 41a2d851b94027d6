//! What is tried, scenario by scenario.

mod bans;
mod cpus;
mod driver;
mod killed;
mod large;
mod load;
mod memory;
mod power;
mod refusals;
mod reload;
mod removed;
mod tests;
mod verdicts;
mod wire;

use anyhow::{Context as _, Result, bail};
use vm_tests::{report::Outcome, scenarios::Scenario, wire::CPUS};

use crate::{machine::Machine, reporter::Reporter};

/// Runs a scenario, and checks that it left nothing behind.
pub(crate) fn run(scenario: Scenario, reporter: &Reporter) -> Result<Outcome> {
    let links = if scenario == Scenario::Cpus {
        CPUS as usize
    } else if scenario == Scenario::Removed {
        2
    } else {
        1
    };
    let mut machine = Machine::new(links)?;
    let outcome = match scenario {
        Scenario::Load => load::run(&machine, reporter),
        Scenario::Verdicts => verdicts::run(&machine),
        Scenario::Reload => reload::run(&machine),
        Scenario::Killed => killed::run(&machine),
        Scenario::Bans => bans::run(&machine),
        Scenario::Large => large::run(&machine),
        Scenario::Refusals => refusals::run(&machine),
        Scenario::Removed => removed::run(&mut machine),
        Scenario::Memory => memory::run(&machine),
        Scenario::Tests => tests::run(),
        Scenario::Cpus => cpus::run(&machine),
        Scenario::Wire => wire::run(&machine),
        Scenario::Driver => driver::run(&machine),
        Scenario::Power => power::run(&machine),
        Scenario::Watch => bail!("this scenario needs machines that fail"),
    };
    match outcome {
        Ok(outcome) => {
            let left = machine.check_nothing_left();
            left.context("something is left behind")?;
            Ok(outcome)
        }
        Err(error) => {
            // For the scenarios that follow; the first error is the one to tell.
            let _ = machine.firewall().run(&["unload"]);
            Err(error)
        }
    }
}
