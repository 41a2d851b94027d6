//! The clock of bans, confirmations and logged packets.

use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

/// The time since boot, suspension included: `CLOCK_BOOTTIME`, which cannot be set and which
/// programs in the kernel can read, too.
///
/// # Errors
///
/// When the kernel has no such clock; Linux has it since 2.6.39.
pub(crate) fn since_start() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from)
}

/// The time since boot without suspension: `CLOCK_MONOTONIC`, which the kernel derives its jiffies from.
///
/// # Errors
///
/// As above.
pub(crate) fn since_start_awake() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from)
}

/// The ticks of the kernel a second (`HZ`): the coarse clocks go by them (`KTIME_LOW_RES`,
/// `kernel/time/posix-timers.c`).
///
/// # Errors
///
/// When the kernel has no such clock; Linux has it since 2.6.32.
pub(crate) fn ticks_a_second() -> nix::Result<u64> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map(Duration::from)?;
    Ok((1.0 / tick.as_secs_f64()).round() as u64)
}

/// [`since_start`] in nanoseconds, as programs in the kernel have it.
pub(crate) fn nanoseconds_since_start() -> nix::Result<u64> {
    let nanoseconds = since_start()?.as_nanos();
    // They suffice for 584 years.
    Ok(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
