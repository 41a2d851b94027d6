//! `firewall unban`.

use clap::Args;

use crate::{
    bans::{
        line::{HostBits, read_addresses},
        service::UnbanRequest,
    },
    commands::{
        ban_input::{BanDocument, BanRequests},
        document::conclude_bans,
    },
    config::Config,
    control::protocol::Request,
    error::{Error, ExitStatus},
    text::format::grouped,
};

/// Remove bans
///
/// Requires a running daemon.
#[derive(Debug, Args)]
pub(crate) struct UnbanArgs {
    /// Addresses or prefixes, as they were banned; `-` reads them from stdin, one per line
    #[arg(value_name = "ADDRESS", required_unless_present_any = ["reason", "all"])]
    addresses: Vec<String>,
    /// Remove all bans with this reason
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["addresses", "all"])]
    reason: Option<String>,
    /// Remove all bans
    #[arg(long, conflicts_with = "addresses")]
    all: bool,
    /// Clear the host bits of prefixes instead of refusing them
    #[arg(long)]
    mask: bool,
    /// Ignore addresses that are not banned
    #[arg(long)]
    if_banned: bool,
    /// Print what was done as JSON; docs/json.md describes it
    #[arg(long)]
    json: bool,
}

/// Removes bans.
pub(crate) async fn run(config: &Config, args: UnbanArgs) -> Result<ExitStatus, Error> {
    let is_json = args.json;
    let mut document = BanDocument::default();
    let ended = unban(config, args, &mut document).await;
    conclude_bans("unban", is_json, ended, document)
}

async fn unban(config: &Config, args: UnbanArgs, document: &mut BanDocument) -> Result<(), Error> {
    let mut requests = BanRequests::begin(config, args.if_banned).await?;
    let selected = match args.reason {
        Some(reason) => Some(UnbanRequest::Reason {
            reason,
            before: None,
        }),
        None => args.all.then_some(UnbanRequest::All),
    };
    let ran = if let Some(selected) = selected {
        requests.send_one(Request::Unban(selected)).await
    } else {
        let host_bits = if args.mask {
            HostBits::Cleared
        } else {
            HostBits::Refused
        };
        let read = |text: &str| {
            let line = read_addresses(text, host_bits)?;
            Ok(line.map(|line| line.found.range.to_string()))
        };
        let request = |prefixes| Request::Unban(UnbanRequest::Prefixes(prefixes));
        requests.run(&args.addresses, read, request).await
    };
    *document = requests.document();
    ran?;
    requests.finish(|outcome| format!("removed {}", grouped(outcome.removed)))
}
