//! Checks that the kernel still holds the objects of this daemon, and repairs missing pins.

use std::path::Path;

use tokio::time::{Duration, Instant};

use crate::{
    daemon::{current::Current, state::Daemon},
    error::UserError,
    interfaces::link_events::Touched,
    kernel::held_pins::Audit,
    text::causes::Causes,
};

/// The interval of checks of pins and links: each takes a few system calls a link.
pub(super) const AUDIT: Duration = Duration::from_secs(2);

/// The state of an instance is not what its daemon brought into force.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not what this daemon pinned: another process has taken its place", path.display())]
pub(crate) struct TakenError {
    path: std::path::PathBuf,
}

impl UserError for TakenError {}

impl Daemon {
    /// Compares pins and links with the objects of this daemon, and repairs missing ones.
    pub(super) async fn audit(&mut self) {
        self.audit_at = Instant::now() + AUDIT;
        let is_unreachable = !self.lock.is_reachable();
        if is_unreachable && !self.is_unreachable {
            tracing::error!(
                event = "unreachable",
                "the files in the run folder were removed: commands do not reach this daemon; restart it"
            );
        }
        self.is_unreachable = is_unreachable;
        if let Err(error) = self.require_own() {
            if !self.is_taken {
                tracing::error!(event = "state_taken", error = %error, "{error}");
            }
            self.is_taken = true;
            return;
        }
        self.is_taken = false;
        let Current::Running(filter) = &self.current else {
            return;
        };
        match filter.detached() {
            Ok(names) if names.is_empty() => {}
            Ok(names) => {
                tracing::warn!(
                    event = "links_detached",
                    interfaces = names.join(", "),
                    "detached by another process, or gone: `{}`",
                    names.join("`, `")
                );
                self.follow(&Touched::default()).await;
            }
            Err(error) => tracing::error!(
                event = "links_not_inspected",
                error = &error as &dyn std::error::Error,
                "the links cannot be inspected"
            ),
        }
    }

    /// Recreates missing pins; fails when one holds an object of another process.
    pub(super) fn require_own(&self) -> Result<(), TakenError> {
        let Current::Running(filter) = &self.current else {
            return Ok(());
        };
        let Audit { restored, foreign } = match filter.audit() {
            Ok(audit) => audit,
            Err(error) => {
                tracing::error!(event = "pins_not_read", error = %Causes(&error), "{}", Causes(&error));
                return Ok(());
            }
        };
        for path in &restored {
            tracing::warn!(
                event = "pin_restored",
                path = %path.display(),
                "`{}` was missing and is pinned again",
                path.display()
            );
        }
        let taken = |path: &Path| TakenError {
            path: path.to_owned(),
        };
        foreign.first().map_or(Ok(()), |path| Err(taken(path)))
    }
}
