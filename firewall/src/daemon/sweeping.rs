//! The sweeping of the table of flows, and the warning that it fills.

use tokio::{
    task,
    time::{Duration, Instant},
};

use crate::{kernel::flows::FlowTable, text::format::grouped};

/// The interval between two sweeps. A program treats a flow that has expired like a free slot; a stamp
/// becomes ambiguous after hours.
const INTERVAL: Duration = Duration::from_secs(60);

/// When the table of flows is swept, and what was said of it.
pub(super) struct Sweeping {
    /// The time of the next sweep.
    pub(super) at: Instant,
    /// Whether it was said that the table is more than half full.
    is_told: bool,
}

impl Sweeping {
    pub(super) fn new() -> Self {
        Self {
            at: Instant::now() + INTERVAL,
            is_told: false,
        }
    }

    /// Sweeps the table of flows, if there is one.
    pub(super) fn sweep(&mut self, flows: Option<&FlowTable>) {
        self.at = Instant::now() + INTERVAL;
        let Some(flows) = flows else {
            return;
        };
        let max = flows.slots();
        let left = match task::block_in_place(|| flows.sweep()) {
            Ok((left, removed)) => {
                tracing::debug!(
                    event = "flows_swept",
                    left,
                    removed,
                    "swept the table of flows"
                );
                left
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(
                    event = "flows_not_swept",
                    error,
                    "the flows cannot be swept"
                );
                return;
            }
        };
        let is_filling = left > max / 2;
        if is_filling && !self.is_told {
            tracing::warn!(
                event = "flows_half_full",
                flows = left,
                max,
                "the table of flows is more than half full: {} of {}; `max` in `[flows]` makes it larger",
                grouped(left.into()),
                grouped(max.into())
            );
        }
        // It is said again when it was less than a quarter full meanwhile.
        self.is_told = is_filling || self.is_told && left > max / 4;
    }
}
