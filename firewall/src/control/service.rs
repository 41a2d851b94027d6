//! What connections share, and the orders that they hand to the daemon.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::{
    bans::service::BanService,
    control::{
        in_force::InForce,
        protocol::{Answer, Request},
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
    pub(super) ending: watch::Receiver<bool>,
    /// Held by each connection.
    pub(super) _open: mpsc::Sender<()>,
}
