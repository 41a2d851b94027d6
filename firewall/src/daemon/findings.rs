//! What the audits of pins and links find, and how often it is logged.

use std::path::PathBuf;

use tokio::time::{Duration, Instant};

use crate::{
    control::lock::{LockError, process},
    daemon::decisions::BackOff,
    error::UserError,
    filter::error::FilterError,
    kernel::pins::PinError,
    text::causes::Causes,
};

/// The interval of checks of pins and links: each takes a few system calls a link.
pub(super) const AUDIT: Duration = Duration::from_secs(2);

/// Why the state of an instance is not what its daemon brought into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnershipError {
    /// Another daemon has locked the folder of the pins.
    #[error("another daemon{} has the folder of the pins: it has taken the place of this one", process(*.holder))]
    Locked {
        /// Its process, if it is one of this PID namespace.
        holder: Option<u32>,
    },
    /// A pin has another object.
    #[error("`{}` is not what this daemon pinned: another process has taken its place", .0.display())]
    Foreign(PathBuf),
    /// A pin cannot be read or made.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The links cannot be inspected.
    #[error("the links cannot be inspected")]
    Links(#[from] FilterError),
    /// Commands do not find the daemon.
    #[error("commands do not reach this daemon")]
    Unreachable(#[from] LockError),
}

impl UserError for OwnershipError {}

impl OwnershipError {
    /// Whether it is a failed system call, which may succeed later.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Pin(_) | Self::Links(_) => true,
            Self::Unreachable(error) => error.is_failure(),
            Self::Locked { .. } | Self::Foreign(_) => false,
        }
    }

    fn log(&self, message: &str) {
        match self {
            Self::Locked { .. } | Self::Foreign(_) => {
                tracing::error!(event = "state_taken", error = message, "{message}");
            }
            Self::Pin(_) => tracing::error!(event = "pins_not_read", error = message, "{message}"),
            Self::Links(_) => {
                tracing::error!(event = "links_not_inspected", error = message, "{message}");
            }
            Self::Unreachable(_) => {
                tracing::error!(event = "unreachable", error = message, "{message}");
            }
        }
    }
}

/// What the audits have found.
pub(super) struct Findings {
    /// The time of the next audit.
    pub(super) audit_at: Instant,
    /// The messages about what was wrong last.
    messages: Vec<String>,
    /// The delay of messages about failures that last.
    back_off: BackOff,
    /// When they are repeated.
    repeat_at: Option<Instant>,
    /// The interfaces whose links were detached and could not be attached yet.
    pub(super) detached: Vec<String>,
}

impl Findings {
    pub(super) fn none() -> Self {
        Self {
            audit_at: Instant::now() + AUDIT,
            messages: Vec::new(),
            back_off: BackOff::default(),
            repeat_at: None,
            detached: Vec::new(),
        }
    }

    /// Logs what is wrong: what is new at once, failures again after a delay that grows.
    pub(super) fn note(&mut self, faults: &[OwnershipError]) -> Vec<String> {
        let now = Instant::now();
        let is_due = self.repeat_at.is_some_and(|at| at <= now);
        let before = std::mem::take(&mut self.messages);
        let mut has_failures = false;
        let mut are_logged = false;
        for fault in faults {
            let message = Causes(fault).to_string();
            let is_logged = !before.contains(&message) || is_due && fault.is_failure();
            if is_logged {
                fault.log(&message);
            }
            has_failures |= fault.is_failure();
            are_logged |= is_logged && fault.is_failure();
            self.messages.push(message);
        }
        if !has_failures {
            self.back_off.succeed();
            self.repeat_at = None;
        } else if are_logged {
            self.repeat_at = Some(now + self.back_off.fail());
        }
        self.messages.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::kernel::pins;

    #[tokio::test(start_paused = true)]
    async fn failures_that_last_are_logged_ever_more_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let failure = |path: &Path| OwnershipError::Pin(pins::open(path).unwrap_err());
        let unreachable = || LockError::FolderBusy { holder: None }.into();
        let mut findings = Findings::none();
        let mut repeated = Vec::new();
        let begin = Instant::now();
        for _ in 0..100 {
            let before = findings.repeat_at;
            let messages = findings.note(&[failure(folder.path()), unreachable()]);
            assert_eq!(messages.len(), 2);
            if findings.repeat_at != before {
                repeated.push(begin.elapsed().as_secs());
            }
            tokio::time::advance(AUDIT).await;
        }
        assert_eq!(repeated, [0, 2, 4, 8, 16, 32, 64, 124, 184]);
        findings.note(&[unreachable()]);
        assert_eq!(findings.repeat_at, None);
    }
}
