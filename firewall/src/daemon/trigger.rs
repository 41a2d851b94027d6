//! What makes the daemon do something.

use serde::Serialize;
use tokio::time::Instant;

/// Why something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "lowercase")]
pub(crate) enum Cause {
    /// The daemon begins.
    Start,
    /// A signal came.
    Signal,
    /// Somebody asked at the control socket.
    Socket {
        /// The user, by the word of the kernel.
        uid: u32,
    },
    /// Interfaces have changed.
    Interfaces,
    /// Nobody has confirmed in time what was in force.
    Timeout,
}

/// Why something is done, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trigger {
    /// Why.
    pub(crate) cause: Cause,
    /// Since when.
    pub(crate) since: Instant,
}

impl Trigger {
    /// One of this moment.
    pub(crate) fn now(cause: Cause) -> Self {
        Self {
            cause,
            since: Instant::now(),
        }
    }
}
