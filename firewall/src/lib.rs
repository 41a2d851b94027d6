//! The `firewall` command as a library: the command line, the daemon, and the boundary to the kernel.

mod bans;
mod candidate;
mod cli;
mod commands;
mod config;
mod control;
mod daemon;
mod doctor;
mod error;
mod filter;
mod generation;
mod interfaces;
mod kernel;
mod lockout;
mod logging;
mod packet_log;
mod rule_file;
mod runtime;
mod text;

use std::{io, process::ExitCode};

use nix::sys::stat::{Mode, umask};

use crate::{
    cli::Command,
    commands::{
        apply, ban, bans as listed_bans, capture, check, counters, diff, explain, orders, status,
    },
    config::Config,
    error::Error,
    runtime::on_threads,
};

/// Runs the command line of this process, and returns its exit status.
pub fn main() -> ExitCode {
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
    logging::lines::begin(&config.log);
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
            let terms = apply::Terms {
                max_memory,
                confirm,
                force,
                wait,
                max_bans,
            };
            apply::apply(config, file, terms, object.as_deref())?;
        }
        Command::Check { file, options } => on_threads(check::run(file, options))?,
        Command::Reload { force } => on_threads(orders::reload(config, force))?,
        Command::Confirm => on_threads(orders::confirm(config))?,
        Command::Rollback { force } => on_threads(orders::rollback(config, force))?,
        Command::Status { json } => on_threads(status::run(config, json))?,
        Command::Counters { json, watch } => on_threads(counters::run(config, json, watch))?,
        Command::Explain(question) => on_threads(explain::run(config, question))?,
        Command::Ban(options) => on_threads(ban::ban(config, options))?,
        Command::Unban(options) => on_threads(ban::unban(config, options))?,
        Command::Bans { json } => listed_bans::run(config, json)?,
        Command::Capture(options) => on_threads(capture::run(config, options))?,
        Command::Unload => on_threads(orders::unload(config))?,
    }
    Ok(ExitCode::SUCCESS)
}
