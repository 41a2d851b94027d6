//! Checks that the kernel still holds the objects of this daemon, and repairs missing pins and links.

use tokio::time::Instant;

use crate::{
    control::{lock::StateLock, server},
    daemon::{
        current::Current,
        findings::{AUDIT, OwnershipError},
        state::Daemon,
    },
    interfaces::link_events::Touched,
    kernel::held_pins::Audit,
};

impl Daemon {
    /// Compares pins and links with the objects of this daemon, and repairs missing ones.
    pub(super) async fn audit(&mut self) {
        self.findings.audit_at = Instant::now() + AUDIT;
        let mut faults = self.inspect();
        faults.extend(self.keep_reachable().err());
        let is_locked_out = faults
            .iter()
            .any(|fault| matches!(fault, OwnershipError::Locked { .. }));
        let detached = match self.filter().map(|filter| filter.detached()) {
            Some(Ok(names)) => names,
            Some(Err(error)) => {
                faults.push(error.into());
                Vec::new()
            }
            None => Vec::new(),
        };
        let faults = self.findings.note(&faults);
        self.in_force.send_if_modified(|in_force| {
            in_force.as_mut().is_some_and(|in_force| {
                let are_new = in_force.faults != faults;
                in_force.faults = faults;
                are_new
            })
        });
        // A link would be pinned in the folder of the other daemon.
        if !is_locked_out {
            self.attach_again(detached).await;
        }
    }

    /// Makes lock and socket in the run folder again, if they were removed or could not be made before.
    fn keep_reachable(&mut self) -> Result<(), OwnershipError> {
        self.lock.keep_run_folder()?;
        if self.lock.has_own_socket() {
            return Ok(());
        }
        let listener = server::listen(&self.config.run)?;
        // The server takes one at a time, and ends after this.
        if self.listeners.try_send(listener).is_ok() {
            self.lock.listens();
            let socket = self.config.run.socket.display().to_string();
            tracing::warn!(
                event = "socket_restored",
                path = socket,
                "`{socket}` was missing and is made again"
            );
        }
        Ok(())
    }

    /// Attaches to the interfaces whose links were detached, unless that failed a moment ago.
    async fn attach_again(&mut self, detached: Vec<String>) {
        if !detached.is_empty() && detached != self.findings.detached {
            let names = detached.join("`, `");
            tracing::warn!(
                event = "links_detached",
                interfaces = detached.join(", "),
                "detached by another process, or gone: `{names}`"
            );
        }
        let is_resting = !self.rest().is_zero();
        if !detached.is_empty() && !is_resting {
            self.follow(&Touched::default()).await;
        }
        let is_repaired = self.resting_until.is_none();
        self.findings.detached = if is_repaired { Vec::new() } else { detached };
    }

    /// Recreates missing pins; fails when one holds an object of another process, or cannot be read.
    pub(super) fn require_own(&mut self) -> Result<(), OwnershipError> {
        let mut faults = self.inspect();
        // What others have done says more than a failure that it may have caused.
        faults.sort_by_key(OwnershipError::is_failure);
        faults.into_iter().next().map_or(Ok(()), Err)
    }

    /// Fails when another daemon has locked the folder of the pins.
    pub(super) fn require_folder(&mut self) -> Result<(), OwnershipError> {
        match self.lock.keep_state()? {
            StateLock::Held => Ok(()),
            StateLock::Busy(holder) => Err(OwnershipError::Locked { holder }),
        }
    }

    /// Recreates missing pins, and returns what is wrong with others.
    fn inspect(&mut self) -> Vec<OwnershipError> {
        if let Current::Left(_) = &self.current {
            return Vec::new();
        }
        if let Err(error) = self.require_folder() {
            return vec![error];
        }
        let Some(filter) = self.filter() else {
            return Vec::new();
        };
        let Audit {
            restored,
            foreign,
            failed,
        } = filter.audit();
        for path in &restored {
            tracing::warn!(
                event = "pin_restored",
                path = %path.display(),
                "`{}` was missing and is pinned again",
                path.display()
            );
        }
        let foreign = foreign.into_iter().map(OwnershipError::Foreign);
        foreign
            .chain(failed.into_iter().map(OwnershipError::Pin))
            .collect()
    }
}
