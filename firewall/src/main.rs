//! The `firewall` command: the command line, the daemon, and the boundary to the kernel.

mod attachments;
mod bans;
mod budget;
mod candidate;
mod changes;
mod check;
mod cli;
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
mod explain;
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
mod plan;
mod progress;
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

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use tracing_subscriber::EnvFilter;

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
            text::tell(&error.report());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let (config, command) = cli::parse().map_err(Error::CurrentFolder)?;
    log_to_stderr();
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Runtime)?;
    let outcome = runtime.block_on(carry_out(&config, command));
    // A compilation that was given up must not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn carry_out(config: &Config, command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Diff(options) => return Ok(diff::run(options).await),
        Command::Doctor { interface, json } => return Ok(doctor::run(&interface, json).await),
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
            commands::apply(config, file, terms, object.as_deref()).await?;
        }
        Command::Check { file, options } => check::run(file, options).await?,
        Command::Reload { force } => commands::reload(config, force).await?,
        Command::Confirm => commands::confirm(config).await?,
        Command::Rollback { force } => commands::rollback(config, force).await?,
        Command::Status { json } => status::run(config, json).await?,
        Command::Counters { json, watch } => counters::run(config, json, watch).await?,
        Command::Explain(question) => explain::run(config, question).await?,
        Command::Ban(options) => bans::command::ban(config, options).await?,
        Command::Unban(options) => bans::command::unban(config, options).await?,
        Command::Bans { json } => bans::listing::run(config, json)?,
        Command::Unload => commands::unload(config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs to stderr what `FIREWALL_LOG` asks for, `info` and above without it.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("FIREWALL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        // Its report of a closed stderr would go to stderr, and panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
