//! `firewall apply`: becomes the daemon of an instance, or hands a rule file to the one that runs.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use tokio::runtime;

use crate::{
    candidate::budget::Budget,
    commands::{
        args::{DetailArgs, ForceArgs, MemoryArgs, ReportArgs},
        detach,
        document::conclude_rules,
        orders::{Reached, have_done, lock_or_answer},
    },
    config::Config,
    control::{
        protocol::{Request, RulesResult},
        readers,
    },
    daemon::{background::Background, keeping, privileges, request, run},
    error::{Error, ExitStatus},
    filter::{elsewhere, takeover::Takeover},
    generation::in_force,
    kernel::{descriptors, host, info, max_bans::MaxBans, program::ObjectFile},
    lockout::caller::Caller,
    logging::lines::tell,
    rule_file::{
        input::{self, RuleInput},
        last_good::Store,
    },
    runtime::on_threads,
    text::causes::Causes,
};

/// Load the rules, attach to the interfaces, and run until stopped
///
/// SIGHUP reloads the file; SIGTERM and SIGINT unload everything. If a daemon is already running, the
/// file is handed to it and the command returns; if the file and its lists are those in force, nothing
/// changes. With `--detach`, the daemon runs in the background.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Rule file; `-` reads it from stdin, and its lists from the current folder
    ///
    /// A reload then reads the lists again, and takes the same text as before.
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
    report: ReportArgs,
    #[command(flatten)]
    detail: DetailArgs,
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
    /// Group whose members may ask the daemon for what is loaded, by name or number; empty for none
    #[arg(
        long,
        value_name = "GROUP",
        env = "FIREWALL_GROUP",
        hide_env_values = true,
        default_value = "firewall"
    )]
    group: String,
    /// Load another object file than the one built in; for development
    #[arg(long, hide = true, value_name = "PATH", env = "FIREWALL_OBJECT")]
    object: Option<PathBuf>,
}

/// Brings a rule file into force: as the daemon, or by the daemon that runs.
pub(crate) fn run(config: &Config, args: ApplyArgs) -> Result<ExitStatus, Error> {
    if args.detach && !detach::is_detached() {
        in_force::require_access(config)?;
        return on_threads(detach::run(input::is_stdin(&args.file)));
    }
    let (is_json, is_detailed) = (args.report.json, args.detail.detailed);
    let announced = Arc::new(AtomicBool::new(false));
    let ended = bring_into_force(config, args, &announced);
    if announced.load(Ordering::Relaxed) {
        return ended.map(|_| ExitStatus::Done);
    }
    conclude_rules("apply", is_json, is_detailed, ended)
}

/// Brings the rule file into force. A process that becomes the daemon sets `announced` once it has
/// reported that the rules are in force.
fn bring_into_force(
    config: &Config,
    args: ApplyArgs,
    announced: &Arc<AtomicBool>,
) -> Result<Option<RulesResult>, Error> {
    in_force::require_access(config)?;
    let input = RuleInput::of_argument(&args.file)?;
    let copy = Copy::of(&input, config)?;
    let (file, input) = match input {
        RuleInput::File(path) => {
            let path = std::path::absolute(path)
                .map_err(Error::system("cannot find the current directory"))?;
            (path.clone(), RuleInput::File(path))
        }
        RuleInput::Text { .. } | RuleInput::Copy { .. } => (Copy::path(config), input),
    };
    let caller = Caller::of_this_process();
    let force = args.force.force;
    let request = Request::Apply {
        file,
        folder: input.folder_path().map(Path::to_owned),
        max_memory: args.memory.max_memory,
        confirm_ms: args.confirm.map(milliseconds),
        force,
        caller,
        wait: args.wait,
    };
    if args.no_daemon {
        return on_threads(have_done(config, &request));
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
    let config = &with_readers(config, &args.group);
    let reached = runtime.block_on(lock_or_answer(config, &request, args.boot))?;
    drop(runtime);
    match reached {
        Reached::Daemon(message, result) => {
            tell("done", &message);
            if args.max_bans.is_some() {
                let message = "`--max-bans` has no effect while rules are loaded";
                tell("max_bans_ignored", message);
            }
            Ok(result)
        }
        Reached::Lock(lock) => {
            host::lift_memory_limit();
            descriptors::raise_limit();
            drop(copy);
            let first = request::ApplyRequest {
                input,
                budget: args.memory.max_memory.unwrap_or(Budget::DEFAULT),
                wait: args.wait,
                confirm: args.confirm,
                requester: request::Requester { caller, force },
            };
            elsewhere::require_own_namespace(&config.pins)?;
            let (announced, is_json) = (Arc::clone(announced), args.report.json);
            let startup = run::Startup {
                lock,
                found: Takeover::open(&config.pins)?,
                first,
                max_bans: args.max_bans,
                object,
                store: state_dir.and_then(|folder| open_store(&folder.join(&config.instance))),
                boots: args.boot,
                background,
                announce: Box::new(move |result| {
                    announced.store(true, Ordering::Relaxed);
                    if let Err(error) = conclude_rules("apply", is_json, false, Ok(Some(result))) {
                        error.tell();
                    }
                }),
            };
            info::note_program_names();
            privileges::reduce()?;
            on_threads(run::run(config, startup)).map(|()| None)
        }
    }
}

/// The instance with a group of readers. Without one, root alone is answered.
fn with_readers(config: &Config, group: &str) -> Config {
    let mut config = config.clone();
    if group.is_empty() {
        return config;
    }
    let entered = readers::find(group).and_then(|number| {
        readers::enter(number)?;
        Ok(number)
    });
    match entered {
        Ok(number) => config.run.readers = Some(number),
        Err(error) => {
            let error = Causes(&error).to_string();
            tracing::debug!(event = "no_readers", error, "only root may ask: {error}");
        }
    }
    config
}

/// A copy of rules that were given on stdin for a daemon that runs, which may see other folders than this
/// process; it is removed with this value.
struct Copy(Option<PathBuf>);

impl Copy {
    fn of(input: &RuleInput, config: &Config) -> Result<Self, Error> {
        let RuleInput::Text { text, .. } = input else {
            return Ok(Self(None));
        };
        if !config.run.folder.exists() {
            // No daemon runs.
            return Ok(Self(None));
        }
        let path = Self::path(config);
        let copy = Self(Some(path.clone()));
        // What a killed command of the same number left.
        let _ = fs::remove_file(&path);
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text));
        written.map_err(Error::system("cannot write to the run folder"))?;
        Ok(copy)
    }

    /// Where that of this process is.
    fn path(config: &Config) -> PathBuf {
        let name = format!("{}.{}.toml", config.instance, std::process::id());
        let path = config.run.folder.join(name);
        std::path::absolute(&path).unwrap_or(path)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // A daemon that ends may have removed the folder.
            let _ = fs::remove_file(path);
        }
    }
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
