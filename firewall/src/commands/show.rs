//! `firewall show`: prints the rules in force, or those before them, without their file.

use clap::Args;

use crate::{
    commands::{
        output::{json, print},
        reports::read_or_ask,
    },
    config::Config,
    control::protocol::ReportRequest,
    error::Error,
    observe::rules::{RuleListing, RuleRow},
    text::format::{Alignment, Table, counted, grouped},
};

/// Show the rules in force, in their order
///
/// They are read from the kernel: neither the rule file nor a daemon is needed. Sets are shown by
/// name, with the number of their ranges.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Print what each rule has counted, too
    #[arg(long)]
    counters: bool,
    /// Print the rules that `firewall rollback` brings back
    #[arg(long, conflicts_with = "counters")]
    previous: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the rules.
pub(crate) async fn run(config: &Config, args: ShowArgs) -> Result<(), Error> {
    let request = ReportRequest::Rules {
        counters: args.counters,
        previous: args.previous,
    };
    let read = async || {
        if args.previous {
            RuleListing::read_previous(config)
        } else if args.counters {
            RuleListing::read_with_counters(config)
        } else {
            RuleListing::read(config)
        }
    };
    let listing = read_or_ask(config, request, read).await?;
    let text = if args.json {
        json(&listing)?
    } else {
        text(&listing, args.previous)
    };
    print(&text)
}

fn text(listing: &RuleListing, is_previous: bool) -> String {
    let state = if is_previous {
        "not in force, in force from"
    } else {
        "in force since"
    };
    let mut lines = vec![
        format!(
            "generation  {}, {state} {}",
            listing.generation, listing.loaded_at
        ),
        format!("file        {}", listing.file),
        format!("interfaces  {}", listing.interfaces.join(", ")),
        format!("mode        {}", listing.mode),
        format!(
            "policy      in {}, out {}",
            listing.policy, listing.policy_out
        ),
    ];
    let parser = listing.parser.iter();
    let parser: Vec<String> = parser
        .map(|(key, verdict)| format!("{key} {verdict}"))
        .collect();
    lines.push(format!("parser      {}", parser.join(", ")));
    if let Some(flows) = &listing.flows {
        lines.push(format!("flows       at most {}", grouped(flows.max.into())));
    }
    if !listing.complete {
        lines.push(
            "fields      not kept with these rules, which are too many, or were loaded by an earlier version"
                .to_owned(),
        );
    }
    lines.push(String::new());
    lines.push(rules(listing).to_string());
    if !listing.sets.is_empty() {
        lines.push(sets(listing).to_string());
    }
    lines.join("\n")
}

/// The rules; a direction is shown if some rule is for packets out.
fn rules(listing: &RuleListing) -> Table {
    let directed = listing.rules.iter().any(|rule| rule.direction != "in");
    let counted = listing.rules.iter().any(|rule| rule.count.is_some());
    let noted = listing.rules.iter().any(|rule| rule.comment.is_some());
    let mut columns = vec![("NO", Alignment::Right), ("RULE", Alignment::Left)];
    if directed {
        columns.push(("DIRECTION", Alignment::Left));
    }
    columns.push(("ACTION", Alignment::Left));
    if counted {
        columns.push(("PACKETS", Alignment::Right));
        columns.push(("BYTES", Alignment::Right));
    }
    columns.push(("MATCHES", Alignment::Left));
    if noted {
        columns.push(("COMMENT", Alignment::Left));
    }
    let mut table = Table::new(&columns);
    for rule in &listing.rules {
        let number = rule.number.map(|number| grouped(number as u64));
        let mut cells = vec![
            number.unwrap_or_else(|| "off".to_owned()),
            rule.name.clone(),
        ];
        if directed {
            cells.push(rule.direction.clone());
        }
        cells.push(rule.action.clone());
        if counted {
            let count = rule.count.unwrap_or_default();
            cells.push(grouped(count.packets));
            cells.push(grouped(count.bytes));
        }
        cells.push(matches(rule));
        if noted {
            cells.push(rule.comment.clone().unwrap_or_default());
        }
        table.row(cells);
    }
    table
}

/// What a rule matches, and the limit of its log.
fn matches(rule: &RuleRow) -> String {
    let Some(fields) = &rule.fields else {
        return "?".to_owned();
    };
    let mut words: Vec<String> = fields
        .iter()
        .map(|field| {
            let more = match field.terms.more {
                0 => String::new(),
                more => format!(" and {}", counted(more, "more value")),
            };
            format!("{} {}{more}", field.field, field.terms.terms.join(","))
        })
        .collect();
    if words.is_empty() {
        words.push("everything".to_owned());
    }
    words.extend(rule.log.as_ref().map(|log| format!("log {}", log.rate)));
    words.join("  ")
}

fn sets(listing: &RuleListing) -> Table {
    let mut table = Table::new(&[
        ("SET", Alignment::Left),
        ("KIND", Alignment::Left),
        ("RANGES", Alignment::Right),
        ("FROM", Alignment::Left),
    ]);
    for set in &listing.sets {
        let from = match &set.members {
            Some(members) => {
                let more = match members.more {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                members.terms.join(",") + &more
            }
            None => set.files.join(", "),
        };
        table.row([
            format!("@{}", set.name),
            set.kind.clone(),
            grouped(set.ranges as u64),
            from,
        ]);
    }
    table
}
