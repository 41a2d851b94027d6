//! The installed command: what it reports of what it has loaded.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use benches::objects::{Object, ObjectKind};
use serde_json::Value;

use crate::guest::Guest;

/// What the command reports at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The version that put the rules in force.
    pub(crate) version: String,
    /// The process of the daemon.
    pub(crate) daemon: u64,
    /// The packets that the rule of the flood has counted.
    pub(crate) flood: u64,
    /// The packets of banned sources.
    pub(crate) banned: u64,
    /// The banned sources, with their reasons.
    pub(crate) bans: BTreeSet<(String, String)>,
    /// The flows: both ends of each.
    pub(crate) flows: BTreeSet<(String, String)>,
    /// Maps and programs that the pins and the daemon keep alive.
    pub(crate) objects: BTreeSet<Object>,
}

impl Report {
    /// Asks the command.
    pub(crate) fn read(guest: &Guest<'_>) -> Result<Self> {
        let status = ask(guest, "status")?;
        let counters = ask(guest, "counters")?;
        Ok(Self {
            version: status["version"]
                .as_str()
                .context("the status has a version")?
                .to_owned(),
            daemon: status["daemon"]["pid"].as_u64().context("a daemon runs")?,
            flood: counted(&counters["rules"], "flood"),
            banned: counted(&counters["reasons"], "banned"),
            bans: pairs(&ask(guest, "bans")?["bans"], ["prefix", "reason"]),
            flows: pairs(&ask(guest, "flows")?["flows"], ["from", "to"]),
            objects: objects(&status),
        })
    }
}

/// Runs a command that prints JSON.
fn ask(guest: &Guest<'_>, command: &str) -> Result<Value> {
    let text = guest.must(&["firewall", command, "--json"])?;
    serde_json::from_str(&text).with_context(|| format!("`{command}` printed `{text}`"))
}

/// The packets of the rows with a name.
fn counted(rows: &Value, name: &str) -> u64 {
    let rows = rows.as_array().into_iter().flatten();
    let rows = rows.filter(|row| row["name"] == name);
    rows.filter_map(|row| row["packets"].as_u64()).sum()
}

/// Two values of each row, as text.
fn pairs(rows: &Value, [one, two]: [&str; 2]) -> BTreeSet<(String, String)> {
    let rows = rows.as_array().into_iter().flatten();
    rows.map(|row| (row[one].to_string(), row[two].to_string()))
        .collect()
}

fn objects(status: &Value) -> BTreeSet<Object> {
    let object = |kind, value: &Value| {
        let id = u32::try_from(value["id"].as_u64()?).ok()?;
        Some(Object { kind, id })
    };
    let maps = status["maps"].as_array().into_iter().flatten();
    let hooks = status["traffic_control"].as_array().into_iter().flatten();
    maps.filter_map(|map| object(ObjectKind::Map, map))
        .chain(hooks.filter_map(|hook| object(ObjectKind::Program, &hook["program"])))
        .chain(object(ObjectKind::Program, &status["program"]))
        .collect()
}
