//! `firewall ban`.

use clap::Args;

use crate::{
    bans::{guard::Guard, line::BanLine, service::BanRequest, term},
    commands::ban_input::BanRequests,
    config::Config,
    control::protocol::Request,
    error::Error,
    logging::lines::tell,
    text::format::grouped,
};

/// Drop all packets from an address or a prefix at once, before any rule
///
/// A ban of the same prefix is replaced. A ban that would cover the peer of the SSH session it is run
/// in, an address of this machine, or all addresses is refused without `--force`. Requires a running
/// daemon.
#[derive(Debug, Args)]
pub(crate) struct BanArgs {
    /// Addresses, prefixes or ranges; `-` reads them from stdin, one per line, each optionally followed by a
    /// duration and a reason
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
    /// Duration, such as 90s, 1h30m or 2d [default: forever]
    #[arg(
        long = "for",
        value_name = "TIME",
        allow_hyphen_values = true,
        value_parser = term::term_text
    )]
    term: Option<String>,
    /// Reason, at most 64 bytes; dropped packets are counted by reason
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Ban even addresses that would lock you out
    #[arg(long)]
    force: bool,
}

/// Bans.
pub(crate) async fn run(config: &Config, args: BanArgs) -> Result<(), Error> {
    let guard = if args.force {
        None
    } else {
        Some(Guard::new()?)
    };
    let read = |text: &str| {
        let Some(line) = BanLine::read(text)? else {
            return Ok(None);
        };
        let mut prefixes = line.prefixes.iter();
        if let Some(guard) = &guard
            && let Some(objection) = prefixes.find_map(|prefix| guard.objection(*prefix))
        {
            return Err(objection);
        }
        if let Some(written) = &line.mapped {
            let message = format!("`{written}` is banned as `{}`", line.addresses);
            tell("ban_mapped", &message);
        }
        let term = line.term.or(args.term.as_deref());
        Ok(Some(BanRequest {
            prefix: line.addresses,
            term: term.map(str::to_owned),
            reason: line.reason.unwrap_or(&args.reason).to_owned(),
        }))
    };
    let mut requests = BanRequests::begin(config, false).await?;
    let request = |bans| Request::Ban { bans };
    requests.run(&args.addresses, read, request).await?;
    requests.finish(|outcome| {
        let again = match outcome.renewed {
            0 => String::new(),
            renewed => format!(", {} of them again", grouped(renewed)),
        };
        format!("banned {}{again}", grouped(outcome.added + outcome.renewed))
    })
}
