//! The scenarios, one per file.

mod bans;
mod cpus;
mod driver;
pub(crate) mod egress;
mod killed;
mod large;
pub(crate) mod load;
mod memory;
mod power;
mod refusals;
mod reload;
mod removed;
mod tests;
mod tunnels;
mod verdicts;
mod wire;

use anyhow::{Context as _, Result, bail};
use vm_tests::{report::Outcome, scenarios::Scenario, wire::CPUS};

use crate::{reporter::Reporter, scene::Scene};

/// Runs a scenario, and checks that it left nothing behind.
pub(crate) fn run(scenario: Scenario, reporter: &Reporter) -> Result<Outcome> {
    let links = if scenario == Scenario::Cpus {
        CPUS as usize
    } else if matches!(scenario, Scenario::Removed | Scenario::Tunnels) {
        2
    } else {
        1
    };
    let mut scene = Scene::new(links)?;
    let outcome = match scenario {
        Scenario::Load => load::run(&scene, reporter),
        Scenario::Verdicts => verdicts::run(&scene),
        Scenario::Reload => reload::run(&scene),
        Scenario::Killed => killed::run(&scene),
        Scenario::Egress => egress::run(&scene),
        Scenario::Tunnels => tunnels::run(&scene),
        Scenario::Bans => bans::run(&scene),
        Scenario::Large => large::run(&scene),
        Scenario::Refusals => refusals::run(&scene),
        Scenario::Removed => removed::run(&mut scene),
        Scenario::Memory => memory::run(&scene),
        Scenario::Tests => tests::run(),
        Scenario::Cpus => cpus::run(&scene),
        Scenario::Wire => wire::run(&scene),
        Scenario::Driver => driver::run(&scene),
        Scenario::Power => power::run(&scene),
        Scenario::Watch => bail!("this scenario needs machines that fail"),
    };
    match outcome {
        Ok(outcome) => {
            let left = scene.check_nothing_left();
            left.context("something is left behind")?;
            Ok(outcome)
        }
        Err(error) => {
            // Cleans up for the next scenarios; only the first error is reported.
            let _ = scene.firewall().run(&["unload"]);
            Err(error)
        }
    }
}
