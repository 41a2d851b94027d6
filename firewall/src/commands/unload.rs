//! `firewall unload`.

use clap::Args;

use crate::{
    commands::orders::{Reached, lock_or_answer},
    config::Config,
    control::protocol::Request,
    error::Error,
    filter::unload,
    generation::in_force,
    logging::lines::tell,
};

/// Detach from all interfaces and remove everything from the kernel, even if the daemon was killed
#[derive(Debug, Args)]
pub(crate) struct UnloadArgs {}

/// Unloads: by the daemon, or in its place.
pub(crate) async fn run(config: &Config, UnloadArgs {}: UnloadArgs) -> Result<(), Error> {
    in_force::require_access(config)?;
    match lock_or_answer(config, &Request::Unload {}, false).await? {
        Reached::Daemon(message, _) => tell("done", &message),
        Reached::Lock(lock) => {
            let unloaded = unload::unload(&config.pins)?;
            drop(lock);
            tell("done", &unload::describe(unloaded.as_deref()));
        }
    }
    Ok(())
}
