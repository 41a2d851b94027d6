//! `firewall ban`.

use clap::Args;

use crate::{
    bans::{
        error::BansError,
        guard::Guard,
        line::{BanLine, HostBits},
        service::{BanRequest, UnbanRequest},
        term,
    },
    commands::{
        ban_input::{BanDocument, BanRequests},
        document::conclude_bans,
    },
    config::Config,
    control::protocol::Request,
    error::{Error, ExitStatus},
    kernel,
    logging::lines::tell,
    observe,
    text::format::grouped,
};

/// Drop all packets from an address or a prefix at once, before any rule
///
/// A ban of the same prefix is replaced. A ban that would cover the peer of the SSH session it is run
/// in, an address of this machine, one of its gateways, an eighth of a family, or a whole block of
/// private, link-local or multicast addresses is refused without `--force`. Requires a running daemon.
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
    /// Replace all bans with this reason by the given ones
    ///
    /// New bans are added, others get the new duration, and bans that are not among the given ones are
    /// removed. If a line is wrong, nothing changes. If more than half of at least 10 bans would be
    /// removed, that needs `--force`.
    #[arg(long, value_name = "WORDS", conflicts_with = "reason")]
    replace: Option<String>,
    /// Clear the host bits of prefixes instead of refusing them: `2001:db8::5/64` is `2001:db8::/64`
    #[arg(long)]
    mask: bool,
    /// Ban even what is refused otherwise: addresses that would lock you out, and large ranges
    #[arg(long)]
    force: bool,
    /// Print what was done as JSON; docs/json.md describes it
    #[arg(long)]
    json: bool,
}

/// The smallest number of bans that are not replaced by less than half without `--force`.
const GUARDED: u64 = 10;

/// Bans.
pub(crate) async fn run(config: &Config, args: BanArgs) -> Result<ExitStatus, Error> {
    let is_json = args.json;
    let mut document = BanDocument::default();
    let ended = ban(config, args, &mut document).await;
    conclude_bans("ban", is_json, ended, document)
}

async fn ban(config: &Config, args: BanArgs, document: &mut BanDocument) -> Result<(), Error> {
    let mut requests = BanRequests::begin(config, false).await?;
    let guard = if args.force {
        None
    } else {
        Some(Guard::new(requests.addresses().await?))
    };
    let host_bits = if args.mask {
        HostBits::Cleared
    } else {
        HostBits::Refused
    };
    let read = |text: &str| {
        let Some(line) = BanLine::read(text, host_bits)? else {
            return Ok(None);
        };
        if let Some(guard) = &guard
            && let Some(objection) = guard.objection_to(line.range)
        {
            return Err(objection);
        }
        if let Some(written) = &line.mapped {
            let message = format!("`{written}` is banned as `{}`", line.addresses);
            tell("ban_mapped", &message);
        }
        if let Some(written) = &line.masked {
            let message = format!("`{written}` is banned as `{}`", line.addresses);
            tell("ban_masked", &message);
        }
        let term = line.term.or(args.term.as_deref());
        Ok(Some(BanRequest {
            prefix: line.addresses,
            term: term.map(str::to_owned),
            reason: match &args.replace {
                Some(source) => source.clone(),
                None => line.reason.unwrap_or(&args.reason).to_owned(),
            },
        }))
    };
    if let Some(source) = &args.replace {
        let ended = replace(&mut requests, config, source, &args, read).await;
        *document = requests.document();
        return ended;
    }
    let request = |bans| Request::Ban { bans };
    let ran = requests.run(&args.addresses, read, request).await;
    *document = requests.document();
    ran?;
    requests.finish(|outcome| {
        let again = match outcome.renewed {
            0 => String::new(),
            renewed => format!(", {} of them again", grouped(renewed)),
        };
        format!("banned {}{again}", grouped(outcome.added + outcome.renewed))
    })
}

/// Replaces all bans with a reason. All input is read first; what is banned before and after is banned all the time.
async fn replace(
    requests: &mut BanRequests<'_>,
    config: &Config,
    source: &str,
    args: &BanArgs,
    read: impl Fn(&str) -> Result<Option<BanRequest>, String>,
) -> Result<(), Error> {
    let batch = requests.collect(&args.addresses, read)?;
    if requests.has_refused() {
        return requests.finish(|_| "nothing was changed".to_owned());
    }
    let before = observe::bans::bans_of(&config.pins, source)?;
    let after = batch.items.len() as u64;
    if !args.force && before >= GUARDED && after.saturating_mul(2) < before {
        return Err(BansError::Shrinks {
            source_name: source.to_owned(),
            before,
            after,
        }
        .into());
    }
    let begin = kernel::bans::now().map_err(BansError::from)?;
    requests.send(batch, |bans| Request::Ban { bans }).await?;
    if requests.has_refused() {
        return requests.finish(|_| "bans that are not given stay".to_owned());
    }
    // A ban that was given began later.
    let gone = UnbanRequest::Reason {
        reason: source.to_owned(),
        before: Some(begin),
    };
    requests.send_one(Request::Unban(gone)).await?;
    requests.finish(|outcome| {
        format!(
            "`{source}`: added {}, renewed {}, removed {}",
            grouped(outcome.added),
            grouped(outcome.renewed),
            grouped(outcome.removed)
        )
    })
}
