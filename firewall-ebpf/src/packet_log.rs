//! Events: what the programs tell of packets that rules with `log` match, and how it limits
//! them. Shared by the program, which writes, and user space, which reads.

use crate::abi::FIRST_RULE_SLOT;

/// The most bytes of a frame that an event carries, a power of two: all headers that the parser
/// follows but for the longest chains of extension headers.
pub const SNAP_LEN: u32 = 256;

/// The most rules of a rule set that log.
pub const MAX_LOGGING: u32 = 1 << 10;

/// The maximum number of elements of the map of limiters: for the rules and reasons in force, those before, which may come
/// back, and those that are about to come into force.
pub const MAX_LIMITERS: u32 = 3 * (MAX_LOGGING + FIRST_RULE_SLOT);

/// The bytes of the ring buffer, a power of two and a multiple of the page's.
pub const RING_BYTES: u32 = 1 << 19;

/// [`Event::what`]: the bit of packets that leave.
pub const OUT: u32 = 1 << 8;

/// A packet that a rule matched.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds since the machine was started, suspension included
    /// (`CLOCK_BOOTTIME`).
    pub time: u64,
    /// The counter slot of the rule.
    pub slot: u32,
    /// What the rule does: [`crate::image::PASS`], [`crate::image::DROP`] or
    /// [`crate::image::COUNT`], and [`OUT`] if the packet leaves.
    pub what: u32,
    /// The index of the interface that receives the packet, or through which it leaves.
    pub interface: u32,
    /// The number of the receiving queue; 0 of packets that leave.
    pub queue: u32,
    /// The length of the frame in bytes, all of its buffers, without the frame check sequence.
    pub length: u32,
    /// How many of [`Self::bytes`] are the frame's.
    pub captured: u32,
    /// The beginning of the frame.
    pub bytes: [u8; SNAP_LEN as usize],
}

/// What limits the events of a rule, and what became of them. One for each counter slot whose
/// rule logs.
///
/// The limit is the generic cell rate algorithm (ITU-T I.371) in its form as a virtual scheduling
/// algorithm: an event conforms when it comes no earlier than [`Self::tolerance`] before
/// [`Self::due`], which then moves on by [`Self::interval`]. CPUs do not wait for each other: of
/// events that come at the same moment on several, one more than is allowed may conform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLimiter {
    /// The nanoseconds from one event to the next.
    pub interval: u64,
    /// How many nanoseconds early an event may come: a burst of `tolerance / interval + 1`.
    pub tolerance: u64,
    /// When the next event is due, like [`Event::time`]. Written by the program.
    pub due: u64,
    /// Events that were emitted. Written by the program, like the next two.
    pub emitted: u64,
    /// Packets that came too early to be emitted.
    pub suppressed: u64,
    /// Events for which the ring buffer had no room.
    pub lost: u64,
}

impl LogLimiter {
    /// Whether an event at `now` conforms, and if so when the next one is due.
    #[inline(always)]
    #[must_use]
    pub const fn admit(interval: u64, tolerance: u64, due: u64, now: u64) -> Option<u64> {
        if due > now.saturating_add(tolerance) {
            return None;
        }
        let from = if due > now { due } else { now };
        Some(from.saturating_add(interval))
    }
}

const _: () = assert!(SNAP_LEN.is_power_of_two() && RING_BYTES.is_power_of_two());
const _: () = assert!(size_of::<Event>() == 32 + SNAP_LEN as usize && align_of::<Event>() == 8);
const _: () = assert!(size_of::<LogLimiter>() == 48 && align_of::<LogLimiter>() == 8);

#[cfg(test)]
mod tests {
    use super::LogLimiter;

    #[test]
    fn a_burst_is_told_and_then_one_an_interval() {
        // Ten a second, bursts of three.
        let (interval, tolerance) = (100, 200);
        let mut due = 0;
        let mut told_at = |now| {
            let next = LogLimiter::admit(interval, tolerance, due, now);
            due = next.unwrap_or(due);
            next.is_some()
        };
        let times = [
            1000, 1000, 1000, 1000, 1099, 1100, 1101, 1200, 5000, 5000, 5000, 5000,
        ];
        let told = times.map(&mut told_at);
        let expected = [
            true, true, true, false, false, true, false, true, true, true, true, false,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn no_clock_overflows() {
        assert_eq!(LogLimiter::admit(u64::MAX, 0, 0, 1), Some(u64::MAX));
        assert_eq!(LogLimiter::admit(1, u64::MAX, u64::MAX, 5), Some(u64::MAX));
    }
}
