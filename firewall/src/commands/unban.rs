//! `firewall unban`.

use clap::Args;

use crate::{
    bans::line::read_addresses, commands::ban_input::BanRequests, config::Config,
    control::protocol::Request, error::Error, text::format::grouped,
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
        let line = read_addresses(text)?;
        Ok(line.map(|line| line.addresses.range.to_string()))
    };
    let mut requests = BanRequests::begin(config, args.if_banned).await?;
    let request = |prefixes| Request::Unban { prefixes };
    requests.run(&args.addresses, read, request).await?;
    requests.finish(|outcome| format!("removed {}", grouped(outcome.removed)))
}
