//! The connections of a socket, of which there are only so many: when one more comes, the one that has
//! waited longest gives way. Whoever asks as soon as it is connected is served, however many others
//! say nothing, or say it slowly.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

/// The most connections at a time, beside those that are kept.
const MOST: usize = 64;

/// How long a connection is never made to give way: whoever asks at once is served by then.
const GRACE: Duration = Duration::from_millis(50);

/// The connections that may have to give way.
#[derive(Default)]
pub(super) struct Connections(Arc<Pending>);

#[derive(Default)]
struct Pending {
    list: Mutex<List>,
    /// That one is done, or kept.
    left: Notify,
}

#[derive(Default)]
struct List {
    /// By number; the lowest has waited longest.
    connections: BTreeMap<u64, PendingConnection>,
    next: u64,
}

struct PendingConnection {
    since: Instant,
    /// Its task, from the moment that there is one.
    task: Option<AbortHandle>,
}

impl Connections {
    /// Serves a connection in a task of its own, until that is done or it has to give way. Where there
    /// is no room, waits for it first.
    pub(super) async fn serve<F>(&self, work: impl FnOnce(Connection) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.enter().await;
        let connection = Connection {
            number,
            waiting: Arc::clone(&self.0),
        };
        let task = tokio::spawn(work(connection));
        // Unless it is done, or kept, by now.
        if let Some(entry) = self.0.list().connections.get_mut(&number) {
            entry.task = Some(task.abort_handle());
        }
    }

    /// Makes way for one more; its number.
    async fn enter(&self) -> u64 {
        loop {
            let left = self.0.left.notified();
            let entered = self.0.list().enter();
            match entered {
                Ok(number) => return number,
                Err(room) => {
                    // Either way there may be room.
                    let _ = timeout_at(room, left).await;
                }
            }
        }
    }
}

impl List {
    /// Adds one more, in place of the oldest if need be; when there is no room, when there will be.
    fn enter(&mut self) -> Result<u64, Instant> {
        if self.connections.len() >= MOST
            && let Some(oldest) = self.connections.first_entry()
        {
            let room = oldest.get().since + GRACE;
            if Instant::now() < room {
                return Err(room);
            }
            if let Some(task) = oldest.remove().task {
                tracing::debug!(
                    event = "connection_closed",
                    "too many control connections: the oldest was closed"
                );
                task.abort();
            }
        }
        let number = self.next;
        self.next += 1;
        let entry = PendingConnection {
            since: Instant::now(),
            task: None,
        };
        self.connections.insert(number, entry);
        Ok(number)
    }
}

impl Pending {
    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing that holds it can panic half way.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, from the side of its task.
pub(super) struct Connection {
    number: u64,
    waiting: Arc<Pending>,
}

impl Connection {
    /// From now on it does not have to give way.
    pub(super) fn keep(&self) {
        self.waiting.list().connections.remove(&self.number);
        self.waiting.left.notify_one();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.keep();
    }
}
