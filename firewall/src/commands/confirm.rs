//! `firewall confirm`.

use clap::Args;

use crate::{
    commands::orders::{Reached, lock_or_answer},
    config::Config,
    control::protocol::Request,
    error::Error,
    generation::{confirmation, in_force},
    logging::lines::tell,
};

/// Keep the rules that were loaded by `apply --confirm`
///
/// Works without a running daemon, too.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {}

/// Keeps what is waiting for it: by the daemon, or in its place.
pub(crate) async fn run(config: &Config, ConfirmArgs {}: ConfirmArgs) -> Result<(), Error> {
    let loaded = in_force::read(config)?;
    match lock_or_answer(config, &Request::Confirm {}, false).await? {
        Reached::Daemon(message, _) => tell("done", &message),
        Reached::Lock(lock) => {
            let confirmed = confirmation::confirm(&config.pins, loaded.metadata.generation);
            drop(lock);
            tell("done", &confirmed?);
        }
    }
    Ok(())
}
