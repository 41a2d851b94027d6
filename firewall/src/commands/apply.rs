//! `firewall apply`: becomes the daemon of an instance, or hands a rule file to the one that runs.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::runtime;

use crate::{
    candidate::budget::Budget,
    commands::{
        args::{ForceArgs, MemoryArgs},
        detach,
        orders::{Reached, have_done, lock_or_answer},
    },
    config::Config,
    control::protocol::Request,
    daemon::{background::Background, keeping, privileges, request, run},
    error::{Error, ExitStatus},
    filter::takeover::Takeover,
    generation::in_force,
    kernel::{host, info, max_bans::MaxBans, program::ObjectFile},
    lockout::caller::Caller,
    logging::lines::tell,
    rule_file::last_good::Store,
    runtime::on_threads,
    text::causes::Causes,
};

/// Load the rules, attach to the interfaces, and run until stopped
///
/// SIGHUP reloads the file; SIGTERM and SIGINT unload everything. If a daemon is already running, the
/// file is handed to it and the command returns. With `--detach`, the daemon runs in the background.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Rule file
    file: PathBuf,
    /// Roll back automatically unless `firewall confirm` is run within this time, such as 60s or
    /// 5min
    #[arg(long, value_name = "TIME", value_parser = confirmation)]
    confirm: Option<Duration>,
    /// Start the daemon in the background, and return when the rules are in force
    #[arg(long)]
    detach: bool,
    /// Append the log of a daemon in the background to this file, not to the journal or syslog
    #[arg(long, value_name = "PATH", requires = "detach")]
    log_file: Option<PathBuf>,
    /// Start with the last good rules if the rule file or a list cannot be used, as a service does at boot
    #[arg(long, conflicts_with = "no_daemon")]
    boot: bool,
    /// Directory for copies of the last good rule file and its lists; empty to keep none
    #[arg(
        long,
        value_name = "PATH",
        env = "FIREWALL_STATE_DIR",
        hide_env_values = true,
        default_value = "/var/lib/firewall"
    )]
    state_dir: OsString,
    /// Hand the file to the daemon that is running, and fail if none is
    #[arg(long, conflicts_with = "detach")]
    no_daemon: bool,
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Wait for named interfaces that do not exist yet instead of failing
    ///
    /// They are attached to when they appear. Interfaces that match a glob, or that existed before,
    /// are waited for in any case.
    #[arg(long)]
    wait: bool,
    /// Maximum number of bans, which reserve about 20 bytes of memory each; it holds from the first
    /// load until `unload` [default: 1000000]
    #[arg(
        long,
        value_name = "NUMBER",
        env = "FIREWALL_MAX_BANS",
        hide_env_values = true,
        value_parser = MaxBans::parse
    )]
    max_bans: Option<MaxBans>,
    /// Load another object file than the one built in; for development
    #[arg(long, hide = true, value_name = "PATH", env = "FIREWALL_OBJECT")]
    object: Option<PathBuf>,
}

/// Brings a rule file into force: as the daemon, or by the daemon that runs.
pub(crate) fn run(config: &Config, args: ApplyArgs) -> Result<ExitStatus, Error> {
    let file = std::path::absolute(&args.file)
        .map_err(Error::system("cannot find the current directory"))?;
    in_force::require_access(config)?;
    if args.detach && !detach::is_detached() {
        return on_threads(detach::run());
    }
    let caller = Caller::of_this_process();
    let force = args.force.force;
    let request = Request::Apply {
        file: file.clone(),
        max_memory: args.memory.max_memory,
        confirm_ms: args.confirm.map(milliseconds),
        force,
        caller,
        wait: args.wait,
    };
    if args.no_daemon {
        on_threads(have_done(config, &request))?;
        return Ok(ExitStatus::Done);
    }
    let object = args.object.as_deref();
    let object = object.map_or(Ok(ObjectFile::BuiltIn), ObjectFile::read)?;
    let state_dir = absolute(Path::new(&args.state_dir))?;
    let background = args
        .detach
        .then(|| Background::enter(args.log_file.as_deref()))
        .transpose()?;
    // One thread, which may give up privileges for all that follow.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("cannot start threads"))?;
    let reached = runtime.block_on(lock_or_answer(config, &request, args.boot))?;
    drop(runtime);
    match reached {
        Reached::Daemon(message) => {
            tell("done", &message);
            if args.max_bans.is_some() {
                let message = "`--max-bans` has no effect while rules are loaded";
                tell("max_bans_ignored", message);
            }
        }
        Reached::Lock(lock) => {
            host::lift_memory_limit();
            let first = request::ApplyRequest {
                file,
                budget: args.memory.max_memory.unwrap_or(Budget::DEFAULT),
                wait: args.wait,
                confirm: args.confirm,
                requester: request::Requester { caller, force },
            };
            let startup = run::Startup {
                lock,
                found: Takeover::open(&config.pins)?,
                first,
                max_bans: args.max_bans,
                object,
                store: state_dir.and_then(|folder| open_store(&folder.join(&config.instance))),
                boots: args.boot,
                background,
            };
            info::note_program_names();
            privileges::reduce()?;
            on_threads(run::run(config, startup))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// The absolute form of a path, if it is not empty.
fn absolute(path: &Path) -> Result<Option<PathBuf>, Error> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let absolute = std::path::absolute(path);
    let failed = Error::system("cannot find the current directory");
    absolute.map(Some).map_err(failed)
}

/// Opens the copies of an instance; without them, there are rules nevertheless.
fn open_store(folder: &Path) -> Option<Store> {
    Store::open(folder)
        .inspect_err(|error| keeping::warn(&Causes(error).to_string()))
        .ok()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Reads the time to confirm. Nobody can confirm within less than a second, or waits for longer than
/// a day.
fn confirmation(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(86_400);
    match humantime::parse_duration(text) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        Ok(_) | Err(_) => Err("expected a time from 1s to 1day, such as `60s` or `5min`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_confirm_has_a_unit() {
        assert_eq!(confirmation("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(confirmation("5min"), Ok(Duration::from_secs(300)));
        for bad in ["60", "0s", "2days", "soon"] {
            assert!(confirmation(bad).is_err(), "{bad}");
        }
    }
}
