//! What connections share, and the orders that they hand to the daemon.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    sync::Arc,
};

use nix::sys::socket::{MsgFlags, send};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::{
    bans::service::BanService,
    control::{
        in_force::InForce,
        protocol::{Answer, Request},
        reports::Reports,
    },
    packet_log::relay::Relay,
};

/// A request that is to be carried out, and where its answer goes.
pub(crate) struct Order {
    /// The request; none of those that are answered at once.
    pub(crate) request: Request,
    /// The user who asks.
    pub(crate) user: u32,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Answer>,
    /// The connection of the client.
    pub(super) connection: OwnedFd,
}

impl Order {
    /// Whether the client has closed its connection: it was killed, or gave up, while the order waited. One that
    /// has closed its writing side only still waits for the answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        send(self.connection.as_raw_fd(), &[], flags).is_err()
    }
}

/// What connections are served with.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) places: Arc<Semaphore>,
    pub(super) in_force: watch::Receiver<Option<InForce>>,
    pub(super) bans: BanService,
    pub(super) relay: Relay,
    pub(super) captures: Arc<Semaphore>,
    /// The group of those who may only read.
    pub(super) readers: Option<u32>,
    pub(super) reports: Arc<dyn Reports>,
    /// One report is made at a time.
    pub(super) reporting: Arc<Semaphore>,
    pub(super) ending: watch::Receiver<bool>,
    /// Held by each connection.
    pub(super) _open: mpsc::Sender<()>,
}
