//! Writes the log limits of the rules for the program in the kernel.
//!
//! A rule that starts to log gets its limiter before its generation comes into force, so that no
//! packet is missed. All other changes wait until the generation is in force: until then the
//! previous rules log as before.

use std::{collections::BTreeSet, error::Error};

use firewall_ebpf::packet_log::LogLimiter;

use crate::{
    generation::{
        loadable::Loadable,
        metadata::{LogEntry, Metadata},
    },
    kernel::{
        events::{EventsError, LogLimiters},
        pins::Pins,
        slot::Slot,
    },
};

/// Before the switch: creates limiters for rules that have none.
pub(crate) fn prepare(pins: &Pins, ready: &Loadable<'_>) -> Result<(), EventsError> {
    let mut limiters = LogLimiters::open(pins)?;
    let fresh: BTreeSet<Slot> = ready.assignment.fresh.iter().copied().collect();
    for (slot, limit) in ready.metadata.logging() {
        if fresh.contains(&slot) || limiters.get(slot)?.is_none() {
            limiters.set(slot, &limited(LogLimiter::default(), limit))?;
        }
    }
    Ok(())
}

/// After the switch: updates the limiters to the rules in force, and removes those of rules that
/// are neither in force nor `previous`. Failures are logged: they do not affect filtering.
pub(crate) fn settle(pins: &Pins, in_force: &Metadata, previous: Option<&Metadata>) {
    if let Err(error) = try_settle(pins, in_force, previous) {
        let error: &dyn Error = &error;
        tracing::error!(
            event = "log_limits_failed",
            error,
            "rules do not log as they should"
        );
    }
}

fn try_settle(
    pins: &Pins,
    in_force: &Metadata,
    previous: Option<&Metadata>,
) -> Result<(), EventsError> {
    let mut limiters = LogLimiters::open(pins)?;
    let mut kept: BTreeSet<Slot> = previous
        .into_iter()
        .flat_map(Metadata::logging)
        .map(|(slot, _)| slot)
        .collect();
    for (slot, limit) in in_force.logging() {
        kept.insert(slot);
        let present = limiters.get(slot)?.unwrap_or_default();
        let wanted = limited(present, limit);
        // Packets that are counted between reading and writing are missing from these numbers; they
        // are in the counters.
        if wanted != present {
            limiters.set(slot, &wanted)?;
        }
    }
    for slot in limiters.slots()? {
        if !kept.contains(&slot) {
            limiters.remove(slot)?;
        }
    }
    Ok(())
}

fn limited(limiter: LogLimiter, limit: LogEntry) -> LogLimiter {
    LogLimiter {
        interval: limit.interval_ns,
        tolerance: limit.tolerance_ns,
        ..limiter
    }
}
