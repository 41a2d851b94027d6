//! The time from the signal until other rules are in force, without traffic.

use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{case::Rules, daemon::Daemon, site::Site, statistics::Spread};
use crate::rulesets::{
    AddressList, Family, ListPolicy, Verdict,
    generate::{self, FilterKind},
};

/// The number of rules of the rule set, and of addresses of the list.
const RULES: usize = 10_000;
const ADDRESSES: usize = 1_000_000;

/// The number of members by which each list differs from the other.
const CHANGED: usize = 1000;

/// What is reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reloaded {
    /// 10,000 rules, of which one changes.
    Rules,
    /// 1,000,000 addresses, of which 1000 change.
    Addresses,
}

impl Reloaded {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rules => "10,000 rules, of which one changes",
            Self::Addresses => "1,000,000 addresses, of which 1,000 change",
        }
    }
}

/// The times of reloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchTime {
    /// What was reloaded.
    pub what: Reloaded,
    /// The time from the files to the switch according to the log, in seconds, one sample per
    /// reload.
    pub logged: Spread,
    /// The time from the signal until the log reports the switch, in seconds.
    pub seen: Spread,
}

/// Reloads rules of which one changes, and a list of addresses of which some change, each `times`
/// times.
///
/// # Errors
///
/// If the command fails, or the process is asked to end.
pub fn measure(times: u32, site: &Site) -> Result<Vec<SwitchTime>> {
    let set = generate::rule_set(FilterKind::Fw, Family::V4, RULES, Verdict::Drop, 1);
    let mut other = set.clone();
    if let Some(last) = other.rules.last_mut() {
        last.verdict = match last.verdict {
            Verdict::Pass => Verdict::Drop,
            Verdict::Drop => Verdict::Pass,
        };
    }
    let rules = reload(
        Reloaded::Rules,
        [Rules::Set(set), Rules::Set(other)],
        times,
        site,
    )?;
    let all = generate::addresses(ADDRESSES + CHANGED, Family::V4, 1).members;
    let part = |from: usize, to: usize| {
        let members = all.get(from..to).unwrap_or_default().to_vec();
        Rules::List(AddressList { members }, ListPolicy::BLOCKLIST)
    };
    let addresses = reload(
        Reloaded::Addresses,
        [part(0, ADDRESSES), part(CHANGED, ADDRESSES + CHANGED)],
        times,
        site,
    )?;
    Ok(vec![rules, addresses])
}

fn reload(what: Reloaded, rules: [Rules; 2], times: u32, site: &Site) -> Result<SwitchTime> {
    let mut daemon = Daemon::prepare(site)?;
    let interface = daemon.testbed().host().interface.clone();
    let files = rules.map(|rules| rules.rule_file(&interface));
    let [(rules, list), _] = &files;
    daemon.write(rules, list.as_deref())?;
    daemon.start()?;
    daemon.change(1)?;
    let (mut logged, mut seen) = (Vec::new(), Vec::new());
    let alternating = files.iter().cycle().skip(1).take(times as usize);
    for (generation, (rules, list)) in (2..).zip(alternating) {
        site.interrupt.check()?;
        daemon.write(rules, list.as_deref())?;
        let began = Instant::now();
        daemon.reload()?;
        let change = daemon.change(generation)?;
        seen.push(began.elapsed().as_secs_f64());
        logged.push(change.all.as_secs_f64());
    }
    Ok(SwitchTime {
        what,
        logged: Spread::of(&logged),
        seen: Spread::of(&seen),
    })
}
