//! The triggers of changes by the daemon.

use serde::Serialize;
use tokio::time::Instant;

/// The cause of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "lowercase")]
pub(crate) enum Cause {
    /// The start of the daemon.
    Start,
    /// A signal.
    Signal,
    /// A request at the control socket.
    Socket {
        /// The user, as the kernel reports it.
        uid: u32,
    },
    /// A change of interfaces.
    Interfaces,
    /// The rules in force were not confirmed in time.
    Timeout,
}

/// The cause of a change, and the time at which it started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trigger {
    /// The cause.
    pub(crate) cause: Cause,
    /// The start.
    pub(crate) since: Instant,
}

impl Trigger {
    /// A trigger at this moment.
    pub(crate) fn now(cause: Cause) -> Self {
        Self {
            cause,
            since: Instant::now(),
        }
    }
}
