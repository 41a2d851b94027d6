//! The commands that need an instance's lock or its daemon: `apply`, `reload`, `unload`.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    bans::MaxBans,
    budget::Budget,
    cli::Config,
    control::{self, Answer, Request},
    daemon,
    error::Error,
    kernel::{host, program::Object},
    loaded,
    lock::{self, Lock},
    text::tell,
    unload,
};

/// How long a daemon that begins or ends may leave its lock taken and its socket silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Brings a rule file into force: as the daemon, or by the daemon that runs.
pub(crate) async fn apply(
    config: &Config,
    file: PathBuf,
    max_memory: Option<Budget>,
    wait: bool,
    max_bans: Option<MaxBans>,
    object: Option<&Path>,
) -> Result<(), Error> {
    loaded::require_access(config)?;
    let request = Request::Apply {
        file: file.clone(),
        max_memory,
        wait,
    };
    match lock_or_answer(config, &request).await? {
        Reached::Daemon(message) => {
            tell(&message);
            if max_bans.is_some() {
                tell("`--max-bans` changes nothing while rules are loaded");
            }
            Ok(())
        }
        Reached::Lock(lock) => {
            host::lift_memory_limit();
            let object = object.map_or(Ok(Object::BuiltIn), Object::read)?;
            let budget = max_memory.unwrap_or(Budget::DEFAULT);
            daemon::run(config, lock, file, wait, budget, max_bans, object).await
        }
    }
}

/// Has the daemon read its rule file again.
pub(crate) async fn reload(config: &Config) -> Result<(), Error> {
    match control::ask(&config.run, &config.instance, &Request::Reload).await? {
        Answer::Done { message } => {
            tell(&message);
            Ok(())
        }
        Answer::Failed { message } => Err(Error::Answered(message)),
        Answer::Ending | Answer::Alive { .. } | Answer::Bans(_) => Err(Error::Ending),
    }
}

/// Unloads: by the daemon, or in its place.
pub(crate) async fn unload(config: &Config) -> Result<(), Error> {
    loaded::require_access(config)?;
    match lock_or_answer(config, &Request::Unload).await? {
        Reached::Daemon(message) => tell(&message),
        Reached::Lock(lock) => {
            let unloaded = unload::unload(&config.pins)?;
            drop(lock);
            tell(&unload::describe(unloaded.as_deref()));
        }
    }
    Ok(())
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
            Ok(Answer::Ending | Answer::Alive { .. } | Answer::Bans(_)) | Err(_)
                if begin.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(Answer::Ending | Answer::Alive { .. } | Answer::Bans(_)) | Err(_) => {
                return Err(Error::Hangs {
                    instance: config.instance.clone(),
                    holder: lock::holder(&config.run),
                });
            }
        }
    }
}
