//! What is tried, scenario by scenario.

mod killed;
mod large;
mod load;
mod refusals;
mod reload;
mod tests;
mod verdicts;

use anyhow::{Context as _, Result};
use vm_tests::{report::Outcome, scenarios::Scenario};

use crate::{machine::Machine, reporter::Reporter};

/// Runs a scenario, and checks that it left nothing behind.
pub(crate) fn run(scenario: Scenario, reporter: &Reporter) -> Result<Outcome> {
    let machine = Machine::new()?;
    let outcome = match scenario {
        Scenario::Load => load::run(&machine, reporter),
        Scenario::Verdicts => verdicts::run(&machine),
        Scenario::Reload => reload::run(&machine),
        Scenario::Killed => killed::run(&machine),
        Scenario::Large => large::run(&machine),
        Scenario::Refusals => refusals::run(&machine),
        Scenario::Tests => tests::run(),
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
