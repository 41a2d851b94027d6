//! What the daemon holds between two events.

use std::{path::PathBuf, sync::Arc};

use rules::compiler::{Compiled, InterfaceIndex};
use tokio::{
    sync::watch,
    task::{self, JoinHandle},
    time::Instant,
};

use crate::{
    bans::service::BanService,
    candidate::budget::Budget,
    config::Config,
    control::{in_force::InForce, lock::Lock},
    daemon::{current::Current, decisions::BackOff},
    error::Error,
    filter::transaction::Filter,
    generation::deadline::Deadline,
    interfaces::unattached::Refusal,
    kernel::{generation::Generation, max_bans::MaxBans, program::ObjectFile},
    packet_log::relay::Relay,
    rule_file::load::RuleFile,
};

/// The daemon.
pub(super) struct Daemon {
    /// The right to be the daemon.
    pub(super) lock: Lock,
    pub(super) config: Config,
    pub(super) object: ObjectFile,
    /// The rule file in force, or the one that is to be.
    pub(super) file: PathBuf,
    pub(super) budget: Budget,
    pub(super) max_bans: Option<MaxBans>,
    pub(super) bans: BanService,
    /// Relays packets that rules log.
    pub(super) relay: Relay,
    /// Its task, once there is something to relay.
    pub(super) relaying: Option<JoinHandle<()>>,
    /// What is in the kernel.
    pub(super) current: Current,
    /// The rules in force, when this process read them.
    pub(super) rules: Option<KnownRules>,
    /// The same of the previous generation, as long as that is kept.
    pub(super) previous: Option<KnownRules>,
    /// Until when the rules in force must be confirmed, if they still must.
    pub(super) confirm_by: Option<Deadline>,
    /// The interfaces that the rules in force are for.
    pub(super) known: Vec<(InterfaceIndex, String)>,
    /// Those that are to be filtered and cannot be.
    pub(super) refusals: Vec<Refusal>,
    /// When pins and links are compared with what this process holds.
    pub(super) audit_at: Instant,
    /// Whether another process has taken the place of what this one pinned.
    pub(super) is_taken: bool,
    /// Whether the run folder is gone.
    pub(super) is_unreachable: bool,
    /// How long following the interfaces rests after failures.
    pub(super) back_off: BackOff,
    /// Until when it rests.
    pub(super) resting_until: Option<Instant>,
    /// When rules are compiled again that could not be compiled for the interfaces that there are.
    pub(super) compile_again: Option<Instant>,
    pub(super) ending: watch::Receiver<bool>,
    pub(super) in_force: watch::Sender<Option<InForce>>,
}

/// A rule file that was read and compiled.
#[derive(Clone)]
pub(super) struct KnownRules {
    /// What it was compiled to.
    pub(super) compiled: Arc<Compiled>,
    /// The interfaces that it was compiled for.
    pub(super) interfaces: Vec<(InterfaceIndex, String)>,
    /// The file, as it was when it was read.
    pub(super) source: RuleFile,
}

impl Daemon {
    /// The filter, once rules are in force.
    pub(super) fn filter(&self) -> Option<&Filter> {
        match &self.current {
            Current::Running(filter) => Some(filter),
            Current::Left(_) => None,
        }
    }

    /// The generation in force.
    pub(super) fn generation(&self) -> Option<Generation> {
        self.filter().map(|filter| filter.metadata().generation)
    }

    /// Does long work beside the control socket; gives it up when the daemon is to end.
    pub(super) async fn unless_ending<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let mut ending = self.ending.clone();
        tokio::select! {
            done = task::spawn_blocking(work) => Ok(done?),
            _ = ending.wait_for(|&ending| ending) => Err(Error::Ending),
        }
    }
}
