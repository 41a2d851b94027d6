//! Tests that a failing guest is detected: one panics and one hangs, each in the middle of a
//! scenario.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use vm_tests::{
    Failure,
    report::{End, Event, Outcome},
    scenarios::Scenario,
};

use crate::machine::{Ended, Guest, Machine, System};

/// The memory of the guests in MiB.
const MEMORY: u64 = 512;

/// The time before a hanging guest is given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Boots both guests; returns the results in the form of one guest's report.
pub(crate) fn run(system: System<'_>, timeout: Duration) -> Result<Vec<Ended>> {
    let panicked = start(system, Failure::Panic)?.wait(timeout)?;
    let mut hanging = start(system, Failure::Hang)?;
    let age = hanging.await_scenario(timeout)?;
    let process = hanging.process();
    let hung = hanging.wait(age + PATIENCE)?;
    let seconds = panicked.seconds + hung.seconds;
    let console = panicked.console.clone();
    let outcome = match check(&panicked, &hung, process) {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    let scenario = Scenario::Watch;
    Ok(vec![Ended {
        events: vec![
            Event::Began { scenario },
            Event::Ended {
                scenario,
                outcome,
                seconds,
            },
        ],
        end: Some(End::Done),
        fault: None,
        seconds,
        console,
    }])
}

fn start(system: System<'_>, failure: Failure) -> Result<Machine> {
    let guest = Guest {
        name: failure.argument(),
        cpus: 1,
        memory: MEMORY,
        devices: Vec::new(),
        arguments: vec![failure.argument().to_owned()],
    };
    Machine::start(system, &guest)
}

fn check(panicked: &Ended, hung: &Ended, process: u32) -> Result<()> {
    for (ended, fault, last_words) in [
        (panicked, "the guest died: ", "Kernel panic"),
        (hung, "stopped after ", Failure::Hang.argument()),
    ] {
        let told = ended.fault.as_deref().unwrap_or_default();
        ensure!(
            ended.end.is_none() && told.starts_with(fault),
            "of a guest that fails is told `{told}`, not `{fault}`"
        );
        ensure!(
            ended.unfinished() == Some(Scenario::Watch),
            "of a guest that fails is told the scenario {:?}",
            ended.unfinished()
        );
        let console = fs::read_to_string(&ended.console).context("the console is not kept")?;
        ensure!(
            console.contains(last_words),
            "`{}` lacks `{last_words}`",
            ended.console.display()
        );
    }
    ensure!(
        !Path::new(&format!("/proc/{process}")).exists(),
        "the guest that hangs was not stopped"
    );
    Ok(())
}
