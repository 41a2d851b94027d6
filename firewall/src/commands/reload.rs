//! `firewall reload`.

use clap::Args;

use crate::{
    commands::{
        args::{DetailArgs, ForceArgs, ReportArgs},
        document::conclude_rules,
        orders::have_done,
    },
    config::Config,
    control::protocol::Request,
    error::{Error, ExitStatus},
    lockout::caller::Caller,
};

/// Reload the rule file of the running daemon
///
/// If the rule file and its lists are unchanged, the generation in force stays.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    force: ForceArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    detail: DetailArgs,
}

/// Has the daemon read its rule file again.
pub(crate) async fn run(config: &Config, args: ReloadArgs) -> Result<ExitStatus, Error> {
    let request = Request::Reload {
        force: args.force.force,
        caller: Caller::of_this_process(),
    };
    let ended = have_done(config, &request).await;
    conclude_rules("reload", args.report.json, args.detail.detailed, ended)
}
