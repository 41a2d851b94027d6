//! The commands that need an instance's lock or its daemon: `apply`, `reload`, `confirm`,
//! `rollback`, `unload`.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::runtime;

use crate::{
    bans::MaxBans,
    budget::Budget,
    cli::Config,
    confirmation,
    control::{self, Answer, Request},
    daemon,
    error::Error,
    found::Found,
    kernel::{host, info, program::Object},
    loaded,
    lock::{self, Lock},
    lockout::Caller,
    logging::tell,
    on_threads, privileges, unload,
};

/// How long a daemon that begins or ends may leave its lock taken and its socket silent.
const PATIENCE: Duration = Duration::from_secs(10);

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
    loaded::require_access(config)?;
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
            let object = object.map_or(Ok(Object::BuiltIn), Object::read)?;
            let first = daemon::Change {
                file,
                budget: terms.max_memory.unwrap_or(Budget::DEFAULT),
                wait: terms.wait,
                confirm: terms.confirm,
                asked: daemon::Asked {
                    caller,
                    force: terms.force,
                },
            };
            let beginning = daemon::Beginning {
                lock,
                found: Found::open(&config.pins)?,
                first,
                max_bans: terms.max_bans,
                object,
            };
            info::note_program_names();
            privileges::reduce()?;
            on_threads(daemon::run(config, beginning))
        }
    }
}

/// Has the daemon read its rule file again.
pub(crate) async fn reload(config: &Config, force: bool) -> Result<(), Error> {
    let caller = Caller::of_this_process();
    have_done(config, &Request::Reload { force, caller }).await
}

/// Has the daemon bring back what was in force before.
pub(crate) async fn rollback(config: &Config, force: bool) -> Result<(), Error> {
    let caller = Caller::of_this_process();
    have_done(config, &Request::Rollback { force, caller }).await
}

/// Keeps what waits for it: by the daemon, or in its place.
pub(crate) async fn confirm(config: &Config) -> Result<(), Error> {
    let loaded = loaded::read(config)?;
    match lock_or_answer(config, &Request::Confirm).await? {
        Reached::Daemon(message) => tell("done", &message),
        Reached::Lock(lock) => {
            let confirmed = confirmation::confirm(&config.pins, loaded.metadata.generation);
            drop(lock);
            tell("done", &confirmed?);
        }
    }
    Ok(())
}

async fn have_done(config: &Config, request: &Request) -> Result<(), Error> {
    match control::ask(&config.run, &config.instance, request).await? {
        Answer::Done { message } => {
            tell("done", &message);
            Ok(())
        }
        Answer::Failed { message } => Err(Error::Answered(message)),
        Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) | Answer::Capturing { .. } => {
            Err(Error::Ending)
        }
    }
}

/// Unloads: by the daemon, or in its place.
pub(crate) async fn unload(config: &Config) -> Result<(), Error> {
    loaded::require_access(config)?;
    match lock_or_answer(config, &Request::Unload).await? {
        Reached::Daemon(message) => tell("done", &message),
        Reached::Lock(lock) => {
            let unloaded = unload::unload(&config.pins)?;
            drop(lock);
            tell("done", &unload::describe(unloaded.as_deref()));
        }
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

enum Reached {
    /// There was no daemon: this process may be it.
    Lock(Lock),
    /// There was one, and this is its answer.
    Daemon(String),
}

/// Takes the instance's lock, or has its daemon answer. A daemon that begins, ends or dies
/// meanwhile answers nothing; then it is tried again.
async fn lock_or_answer(config: &Config, request: &Request) -> Result<Reached, Error> {
    let begin = Instant::now();
    loop {
        if let Some(lock) = Lock::acquire(&config.run)? {
            return Ok(Reached::Lock(lock));
        }
        match control::ask(&config.run, &config.instance, request).await {
            Ok(Answer::Done { message }) => return Ok(Reached::Daemon(message)),
            Ok(Answer::Failed { message }) => return Err(Error::Answered(message)),
            Ok(
                Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) | Answer::Capturing { .. },
            )
            | Err(_)
                if begin.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(
                Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) | Answer::Capturing { .. },
            )
            | Err(_) => {
                return Err(Error::Hangs {
                    instance: config.instance.clone(),
                    holder: lock::holder(&config.run),
                });
            }
        }
    }
}
