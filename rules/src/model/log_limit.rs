//! Limits on the number of packets of a rule that are logged.

use std::{fmt, num::NonZeroU32};

/// A limit of events: at most [`Self::burst`] at once, and [`Self::events`] per unit of time in the
/// long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogLimit {
    /// The events in each unit of time, at most [`Self::MAX_EVENTS`].
    pub events: NonZeroU32,
    /// The unit of time.
    pub per: Per,
    /// The events that may come at once, at most [`Self::MAX_BURST`].
    pub burst: NonZeroU32,
    /// Whether the log of the daemon has them, too, and not only captures.
    pub journal: bool,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl LogLimit {
    /// The maximum of [`Self::events`].
    pub const MAX_EVENTS: u32 = 1_000_000;

    /// The maximum of [`Self::burst`].
    pub const MAX_BURST: u32 = 1_000_000;

    /// The default: ten per second, fifty at once.
    pub const USUAL: Self = Self {
        events: NonZeroU32::new(10).unwrap(),
        per: Per::Second,
        burst: NonZeroU32::new(50).unwrap(),
        journal: false,
    };

    /// The nanoseconds from one event to the next at a steady rate.
    #[must_use]
    pub fn interval_ns(&self) -> u64 {
        self.per.nanoseconds() / u64::from(self.events.get())
    }

    /// The nanoseconds by which an event may come early, so that [`Self::burst`] events can come at
    /// once.
    #[must_use]
    pub fn tolerance_ns(&self) -> u64 {
        self.interval_ns()
            .saturating_mul(u64::from(self.burst.get()) - 1)
    }
}

impl Per {
    /// Every unit.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// The unit as written in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    const fn nanoseconds(self) -> u64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
        }
    }
}

/// Writes the rate as in a rule file.
impl fmt::Display for LogLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.events, self.per.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_nanoseconds() {
        assert_eq!(LogLimit::USUAL.interval_ns(), 100_000_000);
        assert_eq!(LogLimit::USUAL.tolerance_ns(), 4_900_000_000);
        let slowest = LogLimit {
            events: NonZeroU32::MIN,
            per: Per::Hour,
            burst: NonZeroU32::new(LogLimit::MAX_BURST).unwrap(),
            journal: false,
        };
        assert_eq!(slowest.interval_ns(), 3_600_000_000_000);
        // Adding it brings no clock near the end of its range.
        assert!(slowest.tolerance_ns() < u64::MAX / 4);
    }
}
