//! Process 1 of a guest: makes the machine usable, runs scenarios, reports, and ends the machine.
//!
//! Its arguments are the names of the scenarios.

mod addresses;
mod cards;
mod datagrams;
mod exit;
mod fields;
mod firewall;
mod hog;
mod peer;
mod reporter;
mod scenarios;
mod scene;
mod system;
mod talk;
mod tool;
mod tracer;

use std::{convert::Infallible, env, process, thread, time::Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use vm_tests::{
    Failure, MODULES, PEER,
    report::{End, Event, Outcome},
    scenarios::Scenario,
};

use reporter::Reporter;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let end = match arguments.split_first() {
        Some((first, command)) if first == tracer::HOLD => tracer::hold(command),
        Some((first, rest)) if first == hog::HOG => hog::fill(rest),
        _ if process::id() == 1 => run(&arguments),
        _ => Err(anyhow!("this is process 1 of a virtual machine")),
    };
    let Err(error) = end;
    eprintln!("error: {error:?}");
    // The kernel panics when its process 1 ends, which ends the machine.
    process::exit(1);
}

fn run(names: &[String]) -> Result<Infallible> {
    system::mount()?;
    system::load_modules(MODULES)?;
    if names.first().is_some_and(|name| name == PEER) {
        return peer::serve();
    }
    let reporter = Reporter::open()?;
    reporter.report(&Event::Booted {
        release: system::release()?,
    })?;
    let is_named = |failure: &Failure| names.first().is_some_and(|name| name == failure.argument());
    if let Some(failure) = Failure::ALL.into_iter().find(is_named) {
        return fail(failure, &reporter);
    }
    for name in names {
        let scenario =
            Scenario::named(name).with_context(|| format!("there is no scenario `{name}`"))?;
        reporter.report(&Event::Began { scenario })?;
        let begin = Instant::now();
        let outcome = outcome(scenario, &reporter);
        reporter.report(&Event::Ended {
            scenario,
            outcome,
            seconds: begin.elapsed().as_secs_f64(),
        })?;
    }
    reporter.drain()?;
    exit::exit(End::Done)
}

/// Fails in the middle of a scenario.
fn fail(failure: Failure, reporter: &Reporter) -> Result<Infallible> {
    let scenario = Scenario::Watch;
    eprintln!("this guest {}", failure.argument());
    reporter.report(&Event::Began { scenario })?;
    reporter.drain()?;
    match failure {
        Failure::Panic => bail!("the end of process 1 makes its kernel panic"),
        Failure::Hang => loop {
            thread::park();
        },
    }
}

/// Runs a scenario on a thread of its own, since it may panic.
fn outcome(scenario: Scenario, reporter: &Reporter) -> Outcome {
    let ended = thread::scope(|scope| {
        scope
            .spawn(|| scenarios::run(scenario, reporter))
            .join()
            .unwrap_or_else(|_| Err(anyhow!("it panicked; the console has the message")))
    });
    match ended {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("{scenario}: {error:?}");
            Outcome::Failed(format!("{error:#}"))
        }
    }
}
