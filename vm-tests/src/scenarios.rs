//! The scenarios that run on every kernel, and their hardware.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A scenario. A new one needs a variant here, and a function beside the others in the guest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// The programs of all hooks are verified, translated and attached; the verifier's statistics
    /// are recorded.
    Load,
    /// Every match field decides packets, and the counters and arrivals are exact.
    Verdicts,
    /// The rules change under traffic, and no packet escapes the rules.
    Reload,
    /// The daemon is killed; filtering continues until another daemon takes over, or until
    /// `unload`.
    Killed,
    /// Packets that are sent are filtered; another process removes the filter, which comes back.
    Egress,
    /// WireGuard, GRE, IP in IP, VLAN and bonding devices are filtered in both directions.
    Tunnels,
    /// Bans drop before any rule, expire on time, and survive reloads and the daemon.
    Bans,
    /// A blocklist of a million addresses.
    Large,
    /// Impossible requests are refused, and the rules in force stay.
    Refusals,
    /// An interface is removed under traffic, and comes back.
    Removed,
    /// There is no memory for the next generation; the one in force stays.
    Memory,
    /// The tests of the `firewall` command that need a kernel.
    Tests,
    /// Packets arrive on four CPUs at the same time, and no count is lost.
    Cpus,
    /// Another machine sends over a wire to a driver with several queues.
    Wire,
    /// A driver whose settings prevent native mode is reported, and another mode works.
    Driver,
    /// The power fails in the middle of a reload.
    Power,
    /// If a machine panics or hangs, its scenario is reported and its console kept.
    Watch,
}

/// The hardware that a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hardware {
    /// One CPU, and only networks created inside the machine.
    Plain,
    /// Four CPUs, and network cards, at the other end of which is a second machine.
    Wired,
    /// A disk that survives the machine, which is started twice.
    Durable,
    /// Two machines that fail deliberately.
    Failing,
}

impl Hardware {
    /// Every kind of hardware.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Wired, Self::Durable, Self::Failing];
}

impl Scenario {
    /// Every scenario, in the order in which they run.
    #[must_use]
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> String {
        // No variant is skipped, so each has a value.
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// The scenario with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// The hardware that it needs.
    #[must_use]
    pub const fn hardware(self) -> Hardware {
        match self {
            Self::Load
            | Self::Verdicts
            | Self::Reload
            | Self::Killed
            | Self::Egress
            | Self::Tunnels
            | Self::Bans
            | Self::Large
            | Self::Refusals
            | Self::Removed
            | Self::Memory
            | Self::Tests => Hardware::Plain,
            Self::Cpus | Self::Wire | Self::Driver => Hardware::Wired,
            Self::Power => Hardware::Durable,
            Self::Watch => Hardware::Failing,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_by_their_names() {
        for &scenario in Scenario::all() {
            assert_eq!(Scenario::named(&scenario.name()), Some(scenario));
        }
        assert_eq!(Scenario::named("lage"), None);
    }
}
