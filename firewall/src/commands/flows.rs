//! `firewall flows`: prints the flows that are tracked, counts them, or removes some.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::{ArgGroup, Args};

use crate::{
    bans::prefix::{Prefix, read_prefixes},
    commands::output::json_line,
    config::Config,
    error::Error,
    observe::flows::{FlowEnd, FlowFilter, FlowListing, PHASES},
    text::format::{Alignment, Table, grouped},
};

/// Show the flows that are tracked, and for how long they are kept
///
/// Flows are tracked when a rule asks for a state; docs/state.md says which, and how.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["proto", "address", "port", "phase", "all"]).multiple(true))]
pub(crate) struct FlowsArgs {
    /// Only flows of this protocol: `tcp`, `udp`, `echo` or a number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    proto: Option<String>,
    /// Only flows with an end in this address or prefix
    #[arg(long, value_name = "ADDRESS", value_parser = prefixes)]
    address: Option<Prefixes>,
    /// Only flows with this port at an end, or this identifier of an echo
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Only flows that have come to this
    #[arg(long, value_name = "PHASE", value_parser = PHASES)]
    phase: Option<String>,
    /// Print how many there are, not which
    #[arg(long)]
    count: bool,
    /// Remove them: their next packets in are `new`
    #[arg(long, conflicts_with = "count", requires = "which")]
    delete: bool,
    /// All flows, for `--delete`
    #[arg(long, requires = "delete")]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Prefixes(Vec<Prefix>);

fn prefixes(text: &str) -> Result<Prefixes, String> {
    read_prefixes(text).map(Prefixes)
}

fn protocol(text: &str) -> Result<String, String> {
    match text {
        "tcp" | "udp" | "echo" => Ok(text.to_owned()),
        "icmp" | "icmpv6" | "ipv6-icmp" => Ok("echo".to_owned()),
        _ => match text.parse::<u8>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err("expected `tcp`, `udp`, `echo` or the number of a protocol".to_owned()),
        },
    }
}

/// Prints, counts or removes flows.
pub(crate) fn run(config: &Config, args: FlowsArgs) -> Result<(), Error> {
    let filter = FlowFilter {
        protocol: args.proto,
        addresses: args.address.map(|prefixes| prefixes.0).unwrap_or_default(),
        port: args.port,
        phase: args.phase,
    };
    let text = if args.delete {
        let removed = FlowListing::remove(config, &filter)?;
        if args.json {
            json_line(&serde_json::json!({ "removed": removed }))?
        } else {
            format!("{} removed\n", flows(removed))
        }
    } else {
        let listing = FlowListing::matching(config, &filter)?;
        match (args.json, args.count) {
            (true, true) => json_line(&serde_json::json!({ "flows": listing.flows.len() }))?,
            (true, false) => json_line(&listing)?,
            (false, true) => format!("{}\n", listing.flows.len()),
            (false, false) => to_text(&listing),
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(Error::Output)?;
    out.flush().map_err(Error::Output)
}

fn flows(count: u64) -> String {
    match count {
        1 => "1 flow".to_owned(),
        _ => format!("{} flows", grouped(count)),
    }
}

fn end(end: FlowEnd) -> String {
    let FlowEnd { address, port } = end;
    match port {
        None => address.to_string(),
        Some(port) if address.is_ipv6() => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
    }
}

fn to_text(listing: &FlowListing) -> String {
    let time =
        |seconds: u32| humantime::format_duration(Duration::from_secs(seconds.into())).to_string();
    let mut text = String::new();
    if !listing.flows.is_empty() {
        let mut table = Table::new(&[
            ("PROTOCOL", Alignment::Left),
            ("FROM", Alignment::Left),
            ("TO", Alignment::Left),
            ("PHASE", Alignment::Left),
            ("IDLE", Alignment::Left),
            ("LEFT", Alignment::Left),
        ]);
        for flow in &listing.flows {
            table.row([
                flow.protocol.clone(),
                end(flow.from),
                end(flow.to),
                flow.phase.clone(),
                time(flow.idle_seconds),
                time(flow.seconds_left),
            ]);
        }
        text += &format!("{table}\n");
    }
    let events = &listing.events;
    if listing.handshakes > 0 {
        text += &format!(
            "{} more in their handshake\n",
            grouped(listing.handshakes.into())
        );
    }
    text += &format!(
        "{} shown, room for {}\n",
        flows(listing.flows.len() as u64),
        grouped(listing.max.into())
    );
    for (number, what) in [
        (
            events.evicted_unanswered,
            "gave way before they were answered, or when they were over",
        ),
        (
            events.evicted_answered,
            "gave way although they were answered: the table is too small",
        ),
        (events.lost, "were not stored"),
    ] {
        if number > 0 {
            text += &format!("{} {what}\n", flows(number));
        }
    }
    text
}
