//! The `firewall` command: the command line, the daemon, and the boundary to the kernel.

mod attachments;
mod bans;
mod budget;
mod candidate;
mod capture;
mod changes;
mod check;
mod cli;
mod clock;
mod commands;
mod confirmation;
mod control;
mod counters;
mod daemon;
mod deadline;
mod diff;
mod doctor;
mod earlier;
mod error;
mod events;
mod explain;
mod files;
mod filter;
mod found;
mod generation;
mod generic_netlink;
mod image_dump;
mod image_size;
mod interfaces;
mod judge;
mod kernel;
mod link_events;
mod loaded;
mod lock;
mod lockout;
mod logging;
mod plan;
mod privileges;
mod progress;
mod readiness;
mod ready;
mod rule_tests;
mod selection;
mod slots;
mod source;
mod status;
mod succession;
mod tables;
mod text;
mod times;
mod unattached;
mod undo;
mod unload;

use std::{io, process::ExitCode};

use nix::sys::stat::{Mode, umask};
use tokio::runtime::Runtime;

use crate::{
    cli::{Command, Config},
    error::Error,
};

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        // Whoever read the output has seen enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            error.tell();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let (config, command) = cli::parse().map_err(Error::CurrentFolder)?;
    logging::begin(&config.log);
    // What is made is for its owner alone, from the moment that it is there.
    umask(Mode::from_bits_truncate(0o077));
    carry_out(&config, command)
}

fn carry_out(config: &Config, command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Diff(options) => return on_threads(async { Ok(diff::run(options).await) }),
        Command::Doctor { interface, json } => {
            return on_threads(async { Ok(doctor::run(&interface, json).await) });
        }
        Command::Apply {
            file,
            max_memory,
            confirm,
            force,
            wait,
            max_bans,
            object,
        } => {
            let terms = commands::Terms {
                max_memory,
                confirm,
                force,
                wait,
                max_bans,
            };
            commands::apply(config, file, terms, object.as_deref())?;
        }
        Command::Check { file, options } => on_threads(check::run(file, options))?,
        Command::Reload { force } => on_threads(commands::reload(config, force))?,
        Command::Confirm => on_threads(commands::confirm(config))?,
        Command::Rollback { force } => on_threads(commands::rollback(config, force))?,
        Command::Status { json } => on_threads(status::run(config, json))?,
        Command::Counters { json, watch } => on_threads(counters::run(config, json, watch))?,
        Command::Explain(question) => on_threads(explain::run(config, question))?,
        Command::Ban(options) => on_threads(bans::command::ban(config, options))?,
        Command::Unban(options) => on_threads(bans::command::unban(config, options))?,
        Command::Bans { json } => bans::listing::run(config, json)?,
        Command::Capture(options) => on_threads(capture::run(config, options))?,
        Command::Unload => on_threads(commands::unload(config))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Does work on as many threads as there are CPUs.
pub(crate) fn on_threads<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = Runtime::new().map_err(Error::Runtime)?;
    let outcome = runtime.block_on(work);
    // A compilation that was given up must not hold the process.
    runtime.shutdown_background();
    outcome
}
