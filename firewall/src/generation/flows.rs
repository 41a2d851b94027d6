//! The settings of the table of flows: what metadata says of them, and what programs take.

use std::{collections::BTreeMap, time::Duration};

use firewall_ebpf::flows::{FINE_UNIT, Phase, Protocol, TCP_UNIT, TIMEOUTS, timeout_index, unit};
use rules::model::{Ruleset, Timeouts};
use serde::{Deserialize, Serialize};

use crate::kernel::trial::FlowTime;

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
        timeouts(|key, unit| {
            let seconds = self.timeouts.get(key).copied();
            seconds.unwrap_or(0).div_ceil(unit)
        })
    }
}

/// The timeouts in units of the stamps, of which `of` gives the one with a key, for a unit in seconds.
fn timeouts(of: impl Fn(&str, u64) -> u64) -> [u16; TIMEOUTS] {
    let mut timeouts = [0; TIMEOUTS];
    for protocol in Protocol::ALL {
        for phase in Phase::ALL {
            let (protocol_number, number) = (protocol as u32, phase.number());
            let units = of(key(protocol, phase), unit(protocol_number, number).into());
            let index = timeout_index(protocol_number, number) as usize;
            if let Some(timeout) = timeouts.get_mut(index) {
                *timeout = u16::try_from(units).unwrap_or(u16::MAX);
            }
        }
    }
    timeouts
}

/// The time of a test's table of flows, this long after the packets that were given.
///
/// The time of a test is exact and stamps are coarse, so each timeout is moved to the side of the stamp on which it is:
/// a flow expires if and only if the time is longer than its timeout.
pub(crate) fn time_of_test(kept: &Timeouts, after: Duration) -> FlowTime {
    // A coarse unit at least, so that each stamp is older than it was, and no more than a stamp can be.
    const LEAST: u64 = (TCP_UNIT / FINE_UNIT) as u64;
    const MOST: u64 = 8_000;
    let fine = u64::from(FINE_UNIT);
    let now = match after.as_secs() {
        0 if after.is_zero() => 0,
        seconds => seconds.div_ceil(fine).clamp(LEAST, MOST),
    };
    let timeouts = timeouts(|key, unit| {
        let mut all = kept.iter();
        let timeout = all.find(|(known, _)| *known == key);
        let timeout = timeout.map_or(Duration::ZERO, |(_, timeout)| timeout);
        let units = timeout.as_secs().div_ceil(unit);
        let age = now * fine / unit;
        if after > timeout {
            units.min(age.saturating_sub(1))
        } else {
            units.max(age)
        }
    });
    FlowTime {
        now: u32::try_from(now).unwrap_or(u32::MAX),
        timeouts,
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
        (Protocol::Tcp, Phase::Incoming | Phase::Noted) => "tcp_incoming",
        (Protocol::Udp, Phase::Unanswered | Phase::Incoming) => "udp",
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
    fn a_flow_expires_after_its_timeout_and_not_before_it() {
        use firewall_ebpf::flows::age;

        let seconds = [4, 5, 30, 31, 32, 33, 120, 600, 14_400, 86_400, 129_600];
        for kept in seconds {
            let kept = Duration::from_secs(kept);
            let mut all = Timeouts::default();
            for (key, _) in Timeouts::default().iter() {
                let set = |name: &str, timeout: &mut Duration| {
                    if name == key {
                        *timeout = kept;
                    }
                };
                set("tcp_opening", &mut all.tcp_opening);
                set("tcp", &mut all.tcp);
                set("tcp_half_closed", &mut all.tcp_half_closed);
                set("udp", &mut all.udp);
            }
            for after in [
                Duration::ZERO,
                Duration::from_millis(1),
                kept - Duration::from_millis(1),
                kept,
                kept + Duration::from_millis(1),
                kept * 3,
                Duration::MAX,
            ] {
                let time = time_of_test(&all, after);
                for (protocol, phase) in [
                    (Protocol::Tcp, Phase::Unanswered),
                    (Protocol::Tcp, Phase::Answered),
                    (Protocol::Tcp, Phase::FirstClosed),
                    (Protocol::Udp, Phase::Unanswered),
                ] {
                    let (protocol, phase) = (protocol as u32, phase.number());
                    // A flow that was seen at 0.
                    let life = (phase << 13) as u16;
                    let timeout = time.timeouts[timeout_index(protocol, phase) as usize];
                    let is_over = age(protocol, life, time.now) > timeout.into();
                    assert_eq!(
                        is_over,
                        after > kept,
                        "{kept:?} {after:?} {protocol} {phase}"
                    );
                }
            }
        }
    }

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
