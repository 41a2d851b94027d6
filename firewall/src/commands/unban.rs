//! `firewall unban`.

use clap::Args;

use crate::{
    bans::prefix::Prefix,
    commands::ban_input::{BanRequests, Line},
    config::Config,
    control::protocol::Request,
    error::Error,
    text::format::grouped,
};

/// Remove bans
///
/// Requires a running daemon.
#[derive(Debug, Args)]
pub(crate) struct UnbanArgs {
    /// Addresses or prefixes, as they were banned; `-` reads them from stdin, one per line
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
    /// Ignore addresses that are not banned
    #[arg(long)]
    if_banned: bool,
}

/// Removes bans.
pub(crate) async fn run(config: &Config, args: UnbanArgs) -> Result<(), Error> {
    let read = |text: &str| {
        let Some(line) = Line::read(text) else {
            return Ok(None);
        };
        Prefix::parse(line.prefix).map_err(|error| error.to_string())?;
        Ok(Some(line.prefix.to_owned()))
    };
    let mut requests = BanRequests::begin(config, args.if_banned).await?;
    let request = |prefixes| Request::Unban { prefixes };
    requests.run(&args.addresses, read, request).await?;
    requests.finish(|outcome| format!("removed {}", grouped(outcome.removed)))
}
