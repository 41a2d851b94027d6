//! The commands that need an instance's lock or its daemon: `apply`, `reload`, `confirm`,
//! `rollback`, `unload`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::runtime;

use crate::{
    candidate::budget::Budget,
    commands::reach::{Reached, lock_or_answer},
    config::Config,
    control::protocol::Request,
    daemon::{privileges, request, run},
    error::Error,
    filter::takeover::Takeover,
    generation::in_force,
    kernel::{host, info, max_bans::MaxBans, program::ObjectFile},
    lockout::caller::Caller,
    logging::lines::tell,
    runtime::on_threads,
};

/// On which terms rules are brought into force.
pub(crate) struct Terms {
    /// The most bans; `None` leaves it to what is there, or is usual.
    pub(crate) max_bans: Option<MaxBans>,
    /// The most memory for an image map; `None` leaves it to the daemon that runs.
    pub(crate) max_memory: Option<Budget>,
    /// Whether to wait for names of interfaces that are not there.
    pub(crate) wait: bool,
    /// Within which time they must be confirmed, if at all.
    pub(crate) confirm: Option<Duration>,
    /// Whether they are wanted even if they lock somebody out.
    pub(crate) force: bool,
}

/// Brings a rule file into force: as the daemon, or by the daemon that runs.
pub(crate) fn apply(
    config: &Config,
    file: PathBuf,
    terms: Terms,
    object: Option<&Path>,
) -> Result<(), Error> {
    in_force::require_access(config)?;
    let caller = Caller::of_this_process();
    let request = Request::Apply {
        file: file.clone(),
        max_memory: terms.max_memory,
        confirm_ms: terms.confirm.map(milliseconds),
        force: terms.force,
        caller,
        wait: terms.wait,
    };
    // One thread, which may give up privileges for all that follow.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let reached = runtime.block_on(lock_or_answer(config, &request))?;
    drop(runtime);
    match reached {
        Reached::Daemon(message) => {
            tell("done", &message);
            if terms.max_bans.is_some() {
                let message = "`--max-bans` changes nothing while rules are loaded";
                tell("max_bans_ignored", message);
            }
            Ok(())
        }
        Reached::Lock(lock) => {
            host::lift_memory_limit();
            let object = object.map_or(Ok(ObjectFile::BuiltIn), ObjectFile::read)?;
            let first = request::ApplyRequest {
                file,
                budget: terms.max_memory.unwrap_or(Budget::DEFAULT),
                wait: terms.wait,
                confirm: terms.confirm,
                requester: request::Requester {
                    caller,
                    force: terms.force,
                },
            };
            let startup = run::Startup {
                lock,
                found: Takeover::open(&config.pins)?,
                first,
                max_bans: terms.max_bans,
                object,
            };
            info::note_program_names();
            privileges::reduce()?;
            on_threads(run::run(config, startup))
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
