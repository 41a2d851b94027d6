//! `firewall rollback`.

use clap::Args;

use crate::{
    commands::{
        args::{ForceArgs, ReportArgs},
        document::conclude_rules,
        orders::have_done,
    },
    config::Config,
    control::protocol::Request,
    error::{Error, ExitStatus},
    lockout::caller::Caller,
};

/// Return to the rules that were in force before
///
/// They return as they were compiled, with their counters, even if their file has changed since.
/// Rules that are waiting for `firewall confirm` are discarded; any others are kept, and running the
/// command again returns to them. Requires a running daemon.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// Has the daemon return to the rules that were in force before.
pub(crate) async fn run(config: &Config, args: RollbackArgs) -> Result<ExitStatus, Error> {
    let request = Request::Rollback {
        force: args.force.force,
        caller: Caller::of_this_process(),
    };
    let ended = have_done(config, &request).await;
    conclude_rules("rollback", args.report.json, false, ended)
}
