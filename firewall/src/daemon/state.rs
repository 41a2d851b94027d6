//! The state of the daemon between two events.

use std::sync::Arc;

use rules::{
    compiler::{Compiled, InterfaceIndex},
    language::RuleTest,
};
use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
    task::{self, JoinHandle},
    time::Instant,
};

use crate::{
    bans::service::BanService,
    candidate::budget::Budget,
    config::Config,
    control::{in_force::InForce, lock::Lock},
    daemon::{
        current::Current, decisions::BackOff, findings::Findings, keeping::Keeping,
        sweeping::Sweeping,
    },
    error::Error,
    filter::transaction::Filter,
    generation::deadline::Deadline,
    interfaces::unattached::Refusal,
    kernel::{generation::Generation, max_bans::MaxBans, program::ObjectFile},
    packet_log::relay::Relay,
    rule_file::{input::RuleInput, load::RuleFile},
};

/// The daemon.
pub(super) struct Daemon {
    /// The right to be the daemon.
    pub(super) lock: Lock,
    /// Where a socket goes that takes the place of one that was removed.
    pub(super) listeners: mpsc::Sender<UnixListener>,
    pub(super) config: Config,
    pub(super) object: ObjectFile,
    /// Keeps copies of the rule file and its lists, if it can.
    pub(super) keeping: Option<Keeping>,
    /// Whether the first rules may be the last good copy.
    pub(super) boots: bool,
    /// The rule file in force, or the first one.
    pub(super) input: RuleInput,
    pub(super) budget: Budget,
    pub(super) max_bans: Option<MaxBans>,
    pub(super) bans: BanService,
    /// Relays packets that rules log.
    pub(super) relay: Relay,
    /// The task of the relay, once it is open.
    pub(super) relaying: Option<JoinHandle<()>>,
    /// The state of the kernel.
    pub(super) current: Current,
    /// The rules in force, if this process read them.
    pub(super) rules: Option<KnownRules>,
    /// The rules of the previous generation, as long as that is kept.
    pub(super) previous: Option<KnownRules>,
    /// The deadline of the confirmation of the rules in force, if they need one.
    pub(super) confirm_by: Option<Deadline>,
    /// The interfaces that the rules in force are for, and those that they name as origins of packets.
    pub(super) known: Vec<(InterfaceIndex, String)>,
    /// The selected interfaces that cannot be filtered.
    pub(super) refusals: Vec<Refusal>,
    /// What is wrong with pins, links and the run folder.
    pub(super) findings: Findings,
    /// When the table of flows is swept.
    pub(super) sweeping: Sweeping,
    /// The delay of rollbacks after failures.
    pub(super) returning: BackOff,
    /// The delay of following interfaces after failures.
    pub(super) back_off: BackOff,
    /// The end of the delay.
    pub(super) resting_until: Option<Instant>,
    /// The time of the next attempt to compile rules that failed for the current interfaces.
    pub(super) compile_again: Option<Instant>,
    pub(super) ending: watch::Receiver<bool>,
    pub(super) in_force: watch::Sender<Option<InForce>>,
}

/// A rule file that was read and compiled.
#[derive(Clone)]
pub(super) struct KnownRules {
    /// The result of the compilation.
    pub(super) compiled: Arc<Compiled>,
    /// The interfaces that it was compiled for, and those that its rules name as origins of packets.
    pub(super) interfaces: Vec<(InterfaceIndex, String)>,
    /// The file, as it was when it was read.
    pub(super) source: RuleFile,
}

impl KnownRules {
    /// Whether `file` is the one that these rules were made of, with the same lists and captures.
    pub(super) fn is_made_of(&self, file: &RuleFile) -> bool {
        let RuleFile {
            input,
            sha256,
            ruleset,
            tests,
            last_good,
            allowed: _,
            warnings: _,
            lists: _,
            listing: _,
            files: _,
            read: _,
            parse: _,
        } = &self.source;
        // A copy gives way to the file once that can be used.
        last_good.is_none()
            && input.path() == file.input.path()
            && input.folder_path() == file.input.folder_path()
            && *sha256 == file.sha256
            && *ruleset == file.ruleset
            && RuleTest::are_alike(tests, &file.tests)
    }
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

    /// Runs long work concurrently with the control socket; aborts it when the daemon must end.
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
