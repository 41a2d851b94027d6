//! Deadlines that other processes of this machine can read until it reboots; pins do not outlive a
//! reboot either.

use std::{io, time::Duration};

use crate::kernel::clock;

/// The maximum length of one sleep: timers stop during suspension, and the clock of deadlines does
/// not.
const NAP: Duration = Duration::from_secs(1);

/// A point in time, in milliseconds of `CLOCK_BOOTTIME`, which cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// The point in time of this number.
    pub(crate) const fn of_number(number: u64) -> Self {
        Self(number)
    }

    /// The number for other processes.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// The deadline after this duration from now.
    pub(crate) fn after(duration: Duration) -> Self {
        let duration = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(now().saturating_add(duration))
    }

    /// The remaining time; zero when it has passed.
    pub(crate) fn remaining(self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now()))
    }

    /// Whether it has passed.
    pub(crate) fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits for a deadline; for ever without one.
    pub(crate) async fn wait(deadline: Option<Self>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        while !deadline.has_passed() {
            tokio::time::sleep(deadline.remaining().min(NAP)).await;
        }
    }
}

fn now() -> u64 {
    let time = clock::since_start().unwrap_or_else(|error| {
        tracing::error!(
            event = "clock_unreadable",
            error = %io::Error::from(error),
            "the clock cannot be read"
        );
        Duration::ZERO
    });
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_passes_once_and_for_all() {
        let deadline = Deadline::after(Duration::from_millis(30));
        assert!(deadline.remaining() <= Duration::from_millis(30));
        Deadline::wait(Some(deadline)).await;
        assert!(deadline.has_passed());
        let later = Deadline::after(Duration::from_secs(3600));
        assert!(later.remaining() > Duration::from_secs(3590));
        let waiting = tokio::time::timeout(Duration::from_millis(20), Deadline::wait(None));
        assert!(waiting.await.is_err());
    }
}
