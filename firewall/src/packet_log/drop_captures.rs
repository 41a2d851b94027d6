//! The captures of drops that run, and what the programs in the kernel report for all of them.
//!
//! The programs compare the little that is cheap for them (`firewall_ebpf::drop_capture`); a packet that one capture asks
//! for and another does not is left out by the latter.

use std::{
    collections::BTreeMap,
    error::Error,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use firewall_ebpf::{
    drop_capture::{DropCounts, DropSettings},
    packet_log::LogLimiter,
};
use nix::net::if_::if_nametoindex;
use rules::model::Direction;
use serde::{Deserialize, Serialize};

use crate::{
    kernel::{drops::DropMaps, events::EventsError, pins::Pins},
    packet_log::{LoggedPacket, Names, drop_filter::DropMatcher},
};

/// The captures. Clones share one state.
#[derive(Clone, Default)]
pub(crate) struct DropCaptures(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    /// `None` until rules are in force, and if the maps cannot be opened.
    maps: Option<DropMaps>,
    captures: BTreeMap<u64, DropMatcher>,
    next: u64,
    names: Arc<Names>,
}

impl DropCaptures {
    /// Opens the maps of an instance, and ends what a daemon that was killed has left in force.
    pub(super) fn open(&self, pins: &Pins) -> Result<(), EventsError> {
        let mut maps = DropMaps::open(pins)?;
        maps.ask_for(None)?;
        self.lock().maps = Some(maps);
        Ok(())
    }

    /// Ends all captures in the kernel, and closes the maps.
    pub(super) fn close(&self) {
        let mut running = self.lock();
        running.captures.clear();
        running.update();
        running.maps = None;
    }

    /// Takes the slots of rules from these names.
    pub(super) fn follow(&self, names: Arc<Names>) {
        let mut running = self.lock();
        running.names = names;
        running.update();
    }

    /// Begins a capture, which ends when the result is dropped. `None` if dropped packets cannot be captured.
    pub(crate) fn begin(&self, matcher: DropMatcher) -> Option<DropCapture> {
        let mut running = self.lock();
        let before = running.maps.as_ref()?.counts().ok()?;
        let number = running.next;
        running.next += 1;
        running.captures.insert(number, matcher.clone());
        running.update();
        drop(running);
        Some(DropCapture {
            number,
            captures: self.clone(),
            before,
            own: OwnCounts::default(),
            thinning: Thinning::new(&matcher),
            matcher,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // What a panic has left is as whole as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Has the programs report what the captures ask for. A failure is logged: it does not affect filtering.
    fn update(&mut self) {
        let settings = self.settings();
        let Some(maps) = &mut self.maps else {
            return;
        };
        if let Err(error) = maps.ask_for(settings.as_ref()) {
            let error: &dyn Error = &error;
            tracing::error!(
                event = "log_limits_failed",
                error,
                "dropped packets are not captured as they should"
            );
        }
    }

    /// What the captures ask for together; `None` if there is none.
    fn settings(&self) -> Option<DropSettings> {
        let all = || self.captures.values();
        let one_in = all().map(|matcher| matcher.one_in).min()?;
        let rate = all().map(|matcher| matcher.rate).max()?;
        let causes = Direction::ALL
            .map(|direction| all().fold(0, |bits, matcher| bits | matcher.causes(direction)));
        let interface = common(all().map(DropMatcher::only_interface));
        let rule = common(all().map(DropMatcher::only_rule));
        let (interval, tolerance) = limit(rate);
        Some(DropSettings {
            causes,
            // One that does not exist yet is compared by its name.
            interface: interface.map_or(0, |name| if_nametoindex(name).unwrap_or(0)),
            slot: rule.and_then(|name| self.names.slot(name)).unwrap_or(0),
            one_in: one_in.get(),
            padding: 0,
            interval,
            tolerance,
            due: 0,
        })
    }
}

/// The value that all have; `None` if one has none or another.
fn common<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    let mut values = values;
    let first = values.next()??;
    values.all(|value| value == Some(first)).then_some(first)
}

/// The interval and the tolerance of a limit of so many packets per second, and at once.
fn limit(rate: NonZeroU32) -> (u64, u64) {
    let interval = 1_000_000_000 / u64::from(rate.get());
    (interval, interval * u64::from(rate.get() - 1))
}

/// A capture that runs.
pub(crate) struct DropCapture {
    number: u64,
    captures: DropCaptures,
    /// What had become of dropped packets before it.
    before: DropCounts,
    /// What it left out of what the programs emitted.
    own: OwnCounts,
    thinning: Thinning,
    matcher: DropMatcher,
}

#[derive(Clone, Copy, Debug, Default)]
struct OwnCounts {
    not_chosen: u64,
    not_sampled: u64,
    suppressed: u64,
}

/// What became of the packets that were dropped while a capture ran: `dropped` is the sum of the others. A buffer that
/// the card would have cut into several packets counts as these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DropTally {
    /// All packets that were dropped.
    pub(crate) dropped: u64,
    /// Those that the capture shows, unless its reader is too slow.
    pub(crate) emitted: u64,
    /// Those beyond its rate.
    pub(crate) suppressed: u64,
    /// Those that the daemon did not read in time.
    pub(crate) lost: u64,
    /// Those left out by sampling.
    pub(crate) not_sampled: u64,
    /// Those that its filter does not take.
    pub(crate) not_chosen: u64,
}

impl DropCapture {
    /// The packet, if the capture shows it: with what it stands for.
    pub(crate) fn shown(&mut self, packet: &Arc<LoggedPacket>) -> Option<Arc<LoggedPacket>> {
        let packets = u64::from(packet.packets);
        if !self.matcher.takes(packet) {
            self.own.not_chosen += packets;
            return None;
        }
        let wanted = self.matcher.one_in.get();
        if !self.thinning.samples(packet.one_in, wanted) {
            self.own.not_sampled += packets;
            return None;
        }
        if !self.thinning.admits(packet.time_ns) {
            self.own.suppressed += packets;
            return None;
        }
        if packet.one_in >= wanted {
            return Some(Arc::clone(packet));
        }
        let one_in = wanted;
        Some(Arc::new(LoggedPacket {
            one_in,
            ..LoggedPacket::clone(packet)
        }))
    }

    /// Ends the capture in the kernel: no more of its packets are emitted.
    pub(crate) fn end(&self) {
        let mut running = self.captures.lock();
        if running.captures.remove(&self.number).is_some() {
            running.update();
        }
    }

    /// What became of the packets that were dropped since it began; `None` if it cannot be read.
    pub(crate) fn tally(&self) -> Option<DropTally> {
        let now = self.captures.lock().maps.as_ref()?.counts().ok()?;
        let since = |of: fn(&DropCounts) -> u64| of(&now).wrapping_sub(of(&self.before));
        let OwnCounts {
            not_chosen,
            not_sampled,
            suppressed,
        } = self.own;
        let emitted = since(|counts| counts.emitted);
        let mut tally = DropTally {
            dropped: 0,
            emitted: emitted.saturating_sub(not_chosen + not_sampled + suppressed),
            suppressed: since(|counts| counts.suppressed) + suppressed,
            lost: since(|counts| counts.lost),
            not_sampled: since(|counts| counts.not_sampled) + not_sampled,
            not_chosen: since(|counts| counts.not_chosen) + not_chosen,
        };
        tally.dropped =
            tally.emitted + tally.suppressed + tally.lost + tally.not_sampled + tally.not_chosen;
        Some(tally)
    }
}

impl Drop for DropCapture {
    fn drop(&mut self) {
        self.end();
    }
}

/// Leaves out what a capture with more wishes than another that runs would not show alone.
#[derive(Clone, Copy, Debug)]
struct Thinning {
    /// How many packets were seen since the last that was taken, in the units of sampling.
    seen: u64,
    interval: u64,
    tolerance: u64,
    due: u64,
}

impl Thinning {
    fn new(matcher: &DropMatcher) -> Self {
        let (interval, tolerance) = limit(matcher.rate);
        Self {
            seen: 0,
            interval,
            tolerance,
            due: 0,
        }
    }

    /// Whether a packet that stands for `one_in` is one of those of which each stands for `wanted`.
    fn samples(&mut self, one_in: u32, wanted: u32) -> bool {
        if one_in >= wanted {
            return true;
        }
        self.seen += u64::from(one_in);
        let is_one = self.seen >= u64::from(wanted);
        if is_one {
            self.seen -= u64::from(wanted);
        }
        is_one
    }

    fn admits(&mut self, now: u64) -> bool {
        let next = LogLimiter::admit(self.interval, self.tolerance, self.due, now);
        self.due = next.unwrap_or(self.due);
        next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet_log::drop_filter::DropFilter;

    fn running(filters: &[&str]) -> Running {
        let names = Names::with_slots(&[("dns", 70), ("ssh", 71)]);
        let matchers = filters.iter().map(|json| {
            let filter: DropFilter = serde_json::from_str(json).unwrap();
            filter.matcher(&names).unwrap()
        });
        Running {
            maps: None,
            captures: (0..).zip(matchers).collect(),
            next: 0,
            names: Arc::new(names),
        }
    }

    #[test]
    fn the_programs_report_what_any_capture_asks_for() {
        assert_eq!(running(&[]).settings(), None);
        let one = running(&[r#"{"rules":["ssh"],"interface":"lo","sample":100,"rate":10}"#]);
        let one = one.settings().unwrap();
        assert_eq!((one.slot, one.one_in), (71, 100));
        assert_eq!(one.interface, if_nametoindex("lo").unwrap());
        assert_eq!((one.interval, one.tolerance), (100_000_000, 900_000_000));
        let two = running(&[
            r#"{"rules":["ssh"],"interface":"lo","sample":100,"rate":10}"#,
            r#"{"rules":["dns"],"sample":7,"rate":1000}"#,
        ]);
        let two = two.settings().unwrap();
        assert_eq!((two.slot, two.interface, two.one_in), (0, 0, 7));
        assert_eq!(two.interval, 1_000_000);
    }

    #[test]
    fn a_capture_that_asks_for_less_gets_its_part() {
        let mut running = running(&[r#"{"sample":100,"rate":10}"#]);
        let matcher = running.captures.pop_first().unwrap().1;
        let mut thinning = Thinning::new(&matcher);
        let taken = (0..1000).filter(|_| thinning.samples(10, 100)).count();
        assert_eq!(taken, 100);
        assert!(thinning.samples(100, 100));
        let admitted = (0..1000).filter(|_| thinning.admits(1)).count();
        assert_eq!(admitted, 10);
    }
}
