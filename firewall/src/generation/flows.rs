//! The settings of the table of flows: what metadata says of them, and what programs take.

use std::collections::BTreeMap;

use firewall_ebpf::flows::{Phase, Protocol, TIMEOUTS, timeout_index, unit};
use rules::model::Ruleset;
use serde::{Deserialize, Serialize};

/// The settings of the table of flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FlowsEntry {
    /// The number of slots.
    pub(crate) max: u32,
    /// The timeouts in seconds, by their keys in the rule file.
    pub(crate) timeouts: BTreeMap<String, u64>,
}

impl FlowsEntry {
    /// Those of a rule set; `None` where no rule asks for states.
    pub(super) fn of(ruleset: &Ruleset) -> Option<Self> {
        let flows = &ruleset.settings.flows;
        let timeouts = flows.timeouts.iter();
        ruleset.asks_for_states().then(|| Self {
            max: flows.max,
            timeouts: timeouts
                .map(|(key, timeout)| (key.to_owned(), timeout.as_secs()))
                .collect(),
        })
    }

    /// The timeouts in units of the stamps.
    pub(crate) fn timeouts(&self) -> [u16; TIMEOUTS] {
        let mut timeouts = [0; TIMEOUTS];
        for protocol in Protocol::ALL {
            for phase in Phase::ALL {
                let (protocol_number, number) = (protocol as u32, phase.number());
                let seconds = self.timeouts.get(key(protocol, phase)).copied();
                let units = seconds
                    .unwrap_or(0)
                    .div_ceil(u64::from(unit(protocol_number, number)));
                let index = timeout_index(protocol_number, number) as usize;
                if let Some(timeout) = timeouts.get_mut(index) {
                    *timeout = u16::try_from(units).unwrap_or(u16::MAX);
                }
            }
        }
        timeouts
    }
}

/// The key of the timeout for flows of a protocol and a phase.
fn key(protocol: Protocol, phase: Phase) -> &'static str {
    match (protocol, phase) {
        (Protocol::Tcp, Phase::Unanswered) => "tcp_opening",
        (Protocol::Tcp, Phase::Answered) => "tcp",
        (Protocol::Tcp, Phase::FirstClosed | Phase::SecondClosed) => "tcp_half_closed",
        (Protocol::Tcp, Phase::Closed) => "tcp_closed",
        (Protocol::Tcp, Phase::Doubtful) => "tcp_reset",
        (Protocol::Udp, Phase::Unanswered) => "udp",
        (Protocol::Udp, _) => "udp_answered",
        (Protocol::Echo, _) => "icmp_echo",
        (Protocol::Other, _) => "other",
    }
}

#[cfg(test)]
mod tests {
    use rules::model::Flows;

    use super::*;

    #[test]
    fn every_timeout_has_its_place() {
        let flows = Flows::default();
        let timeouts = flows.timeouts.iter();
        let entry = FlowsEntry {
            max: flows.max,
            timeouts: timeouts
                .map(|(key, timeout)| (key.to_owned(), timeout.as_secs()))
                .collect(),
        };
        let in_force = entry.timeouts();
        let mut met = std::collections::BTreeSet::new();
        for protocol in Protocol::ALL {
            for phase in Phase::ALL {
                let key = key(protocol, phase);
                met.insert(key);
                let (protocol, phase) = (protocol as u32, phase.number());
                let units = in_force[timeout_index(protocol, phase) as usize];
                let seconds = u64::from(units) * u64::from(unit(protocol, phase));
                let asked = entry.timeouts[key];
                assert!((asked..asked + 32).contains(&seconds), "{key}: {seconds}");
            }
        }
        assert!(
            met.into_iter()
                .eq(entry.timeouts.keys().map(String::as_str))
        );
    }
}
