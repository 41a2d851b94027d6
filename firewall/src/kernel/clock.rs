//! The clock of bans, confirmations and logged packets.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The time since boot, suspension included: `CLOCK_BOOTTIME`, which cannot be set and which
/// programs in the kernel can read, too.
///
/// # Errors
///
/// When the kernel has no such clock; Linux has it since 2.6.39.
pub(crate) fn since_start() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from)
}

/// The same in nanoseconds, as programs in the kernel have it.
pub(crate) fn nanoseconds_since_start() -> nix::Result<u64> {
    let nanoseconds = since_start()?.as_nanos();
    // They suffice for 584 years.
    Ok(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
