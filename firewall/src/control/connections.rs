//! A bounded set of connections: when it is full, a new one replaces the one that has waited
//! longest for a request. A client that sends its request at once is served, however many
//! others are idle or slow.

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

/// The maximum number of concurrent connections, without the kept ones.
const MAX_PENDING: usize = 64;

/// How long a new connection is never closed: enough for a client that sends its request at once.
pub(super) const GRACE: Duration = Duration::from_millis(50);

/// The connections that may be closed for a new one.
#[derive(Default)]
pub(super) struct Connections(Arc<Pending>);

#[derive(Default)]
struct Pending {
    list: Mutex<List>,
    /// Notified when one is done, or kept.
    left: Notify,
}

#[derive(Default)]
struct List {
    /// By number.
    connections: BTreeMap<u64, PendingConnection>,
    next: u64,
}

struct PendingConnection {
    /// Since when it waits for a request, or for its answer to be read; `None` while it is kept.
    since: Option<Instant>,
    /// Its task, once it is spawned.
    task: Option<AbortHandle>,
}

impl Connections {
    /// Serves a connection in a task of its own, until that is done or is closed for a new one.
    /// Waits for room first.
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

    /// Makes room for a connection and returns its number.
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
        // There are more for a moment where kept ones wait again.
        while let Some((number, since)) = self.surplus() {
            let room = since + GRACE;
            if Instant::now() < room {
                return Err(room);
            }
            let oldest = self.connections.remove(&number);
            if let Some(task) = oldest.and_then(|oldest| oldest.task) {
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
            since: Some(Instant::now()),
            task: None,
        };
        self.connections.insert(number, entry);
        Ok(number)
    }

    /// The connection that has waited longest, if there is no room for one more.
    fn surplus(&self) -> Option<(u64, Instant)> {
        let waiting = || {
            let all = self.connections.iter();
            all.filter_map(|(number, connection)| Some((*number, connection.since?)))
        };
        if waiting().count() < MAX_PENDING {
            return None;
        }
        waiting().min_by_key(|&(_, since)| since)
    }
}

impl Pending {
    fn list(&self) -> MutexGuard<'_, List> {
        // No holder of the lock panics with the list in an inconsistent state.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle of a connection in its task.
pub(super) struct Connection {
    number: u64,
    waiting: Arc<Pending>,
}

impl Connection {
    /// Exempts the connection from being closed for a new one.
    pub(super) fn keep(&self) {
        self.set_since(None);
        self.waiting.left.notify_one();
    }

    /// Ends the exemption: the connection waits for another request.
    pub(super) fn wait_again(&self) {
        self.set_since(Some(Instant::now()));
    }

    fn set_since(&self, since: Option<Instant>) {
        if let Some(entry) = self.waiting.list().connections.get_mut(&self.number) {
            entry.since = since;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.waiting.list().connections.remove(&self.number);
        self.waiting.left.notify_one();
    }
}
