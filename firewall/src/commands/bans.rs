//! `firewall bans`: prints the bans, with or without a daemon.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;

use crate::{
    commands::reports::read_or_ask,
    config::Config,
    control::protocol::ReportRequest,
    error::Error,
    observe::bans::{BanEntry, BanListing},
    text::format::{Alignment, Table, grouped},
};

/// Show who is banned, until when and why, and what was dropped for each reason
#[derive(Debug, Args)]
pub(crate) struct BansArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the bans.
pub(crate) async fn run(config: &Config, args: BansArgs) -> Result<(), Error> {
    let request = ReportRequest::Bans {};
    let listing = read_or_ask(config, request, async || BanListing::read(config)).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer(&mut out, &listing).map_err(|error| Error::Output(error.into()))?;
        writeln!(out).map_err(Error::Output)?;
    } else {
        out.write_all(to_text(&listing).as_bytes())
            .map_err(Error::Output)?;
    }
    out.flush().map_err(Error::Output)
}

fn left(ban: &BanEntry) -> String {
    match ban.seconds_left {
        None => "forever".into(),
        Some(seconds) => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    }
}

fn to_text(listing: &BanListing) -> String {
    let mut text = String::new();
    if !listing.bans.is_empty() {
        let mut table = Table::new(&[
            ("BANNED", Alignment::Left),
            ("LEFT", Alignment::Left),
            ("UNTIL", Alignment::Left),
            ("REASON", Alignment::Left),
        ]);
        for ban in &listing.bans {
            table.row([
                ban.prefix.to_string(),
                left(ban),
                ban.ends.clone().unwrap_or_default(),
                ban.reason.clone(),
            ]);
        }
        text += &format!("{table}\n");
    }
    if listing.left_out > 0 {
        text += &format!(
            "and {} more, which only root is shown\n\n",
            grouped(listing.left_out as u64)
        );
    }
    let mut table = Table::new(&[
        ("REASON", Alignment::Left),
        ("BANS", Alignment::Right),
        ("PACKETS", Alignment::Right),
        ("BYTES", Alignment::Right),
    ]);
    for row in &listing.reasons {
        table.row([
            row.name().to_owned(),
            grouped(row.bans),
            grouped(row.count.packets),
            grouped(row.count.bytes),
        ]);
    }
    if !listing.reasons.is_empty() {
        text += &format!("{table}\n");
    }
    text + &format!(
        "{} of at most {}\n",
        grouped((listing.bans.len() + listing.left_out) as u64),
        grouped(listing.max_bans.into())
    )
}
