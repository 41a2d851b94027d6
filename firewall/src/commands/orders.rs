//! Commands that are orders to the daemon.

use crate::{
    commands::reach::{Reached, lock_or_answer},
    config::Config,
    control::{
        client,
        protocol::{Answer, Request},
    },
    error::Error,
    filter::unload,
    generation::{confirmation, in_force},
    lockout::caller::Caller,
    logging::lines::tell,
};

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
    let loaded = in_force::read(config)?;
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
    match client::ask(&config.run, &config.instance, request).await? {
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
    in_force::require_access(config)?;
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
