//! `firewall reload`.

use clap::Args;

use crate::{
    commands::{args::ForceArgs, orders::have_done},
    config::Config,
    control::protocol::Request,
    error::Error,
    lockout::caller::Caller,
};

/// Reload the rule file of the running daemon
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    force: ForceArgs,
}

/// Has the daemon read its rule file again.
pub(crate) async fn run(config: &Config, args: ReloadArgs) -> Result<(), Error> {
    let request = Request::Reload {
        force: args.force.force,
        caller: Caller::of_this_process(),
    };
    have_done(config, &request).await
}
