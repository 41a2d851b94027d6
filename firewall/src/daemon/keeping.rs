//! Keeps copies of the rule file and its lists while the daemon does other work.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{self, JoinHandle},
    time::timeout,
};

use crate::{
    rule_file::{
        contents::{FileRead, Hold},
        last_good::{KeepError, Manifest, Store},
        load::RuleFile,
    },
    text::causes::Causes,
};

/// How many changes may wait for a slow disk.
const WAITING: usize = 8;

/// How long the end of the daemon waits for a slow disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// The copies of an instance, and what is to be done to them.
pub(super) struct Keeping {
    store: Arc<Store>,
    jobs: mpsc::Sender<Job>,
    worker: JoinHandle<()>,
}

enum Job {
    Keep {
        manifest: Manifest,
        files: Vec<FileRead>,
        is_waiting: bool,
    },
    Confirm,
    ReturnTo(String),
}

impl Keeping {
    /// Starts to keep copies in a store.
    pub(super) fn begin(store: Store) -> Self {
        let store = Arc::new(store);
        let (jobs, mut queue) = mpsc::channel(WAITING);
        let worker = task::spawn_blocking({
            let store = Arc::clone(&store);
            move || {
                while let Some(job) = queue.blocking_recv() {
                    if let Err(error) = carry_out(&store, job) {
                        warn(&Causes(&error).to_string());
                    }
                }
            }
        });
        Self {
            store,
            jobs,
            worker,
        }
    }

    /// The store.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Which bytes of files are needed for a copy.
    pub(super) fn hold(&self) -> Hold {
        Hold::Unless(self.store.leases())
    }

    /// Keeps the files of the rules that came into force.
    pub(super) fn keep(&self, file: &RuleFile, files: Vec<FileRead>, is_waiting: bool) {
        self.send(Job::Keep {
            manifest: Manifest::of(file, &files),
            files,
            is_waiting,
        });
    }

    /// The rules that waited are confirmed.
    pub(super) fn confirm(&self) {
        self.send(Job::Confirm);
    }

    /// The rules of the rule file with this SHA-256 are in force again.
    pub(super) fn return_to(&self, sha256: &str) {
        self.send(Job::ReturnTo(sha256.to_owned()));
    }

    /// Waits until everything is kept.
    pub(super) async fn end(self) {
        drop(self.jobs);
        if timeout(PATIENCE, self.worker).await.is_err() {
            warn("the disk does not answer");
        }
    }

    fn send(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            warn("the disk is too slow");
        }
    }
}

fn carry_out(store: &Store, job: Job) -> Result<(), KeepError> {
    match job {
        Job::Keep {
            manifest,
            files,
            is_waiting,
        } => store.keep(&manifest, &files, is_waiting),
        Job::Confirm => store.confirm(),
        Job::ReturnTo(sha256) => store.return_to(&sha256),
    }
}

/// Warns that there is no copy of the rules in force.
pub(crate) fn warn(error: &str) {
    tracing::warn!(
        event = "not_kept",
        error,
        "no copy of the rule file and its lists is kept: {error}"
    );
}
