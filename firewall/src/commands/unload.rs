//! `firewall unload`.

use clap::Args;

use crate::{
    commands::orders::{Reached, lock_or_answer},
    config::Config,
    control::protocol::Request,
    error::Error,
    filter::{elsewhere, unload},
    generation::in_force,
    logging::lines::tell,
};

/// Detach from all interfaces and remove everything from the kernel, even if the daemon was killed
#[derive(Debug, Args)]
pub(crate) struct UnloadArgs {
    /// Unload what a killed daemon left in another network namespace, too
    #[arg(long)]
    force: bool,
}

/// Unloads: by the daemon, or in its place.
pub(crate) async fn run(config: &Config, args: UnloadArgs) -> Result<(), Error> {
    in_force::require_access(config)?;
    match lock_or_answer(config, &Request::Unload {}, false).await? {
        Reached::Daemon(message, _) => tell("done", &message),
        Reached::Lock(lock) => {
            if !args.force {
                elsewhere::require_own_namespace(&config.pins)?;
            }
            let unloaded = unload::unload(&config.pins)?;
            drop(lock);
            tell("done", &unload::describe(unloaded.as_deref()));
        }
    }
    Ok(())
}
