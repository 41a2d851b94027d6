//! Relays logged packets from the ring buffer of the kernel to the log and to captures.

use std::{error::Error, sync::Arc};

use firewall_ebpf::packet_log::Event;
use tokio::{
    sync::{broadcast, watch},
    task::{self, JoinHandle},
};

use crate::{
    generation::metadata::Metadata,
    kernel::{events::Ring, pins::Pins},
    packet_log::{LoggedPacket, Names},
};

/// The maximum number of packets that a receiver may lag behind before it loses some.
const BACKLOG: usize = 4096;

/// The number of packets to emit before yielding to other tasks: there may be only one thread.
const TURN: usize = 32;

/// The relay of logged packets. Clones share one state.
#[derive(Clone)]
pub(crate) struct Relay {
    names: Arc<watch::Sender<Arc<Names>>>,
    emitted: broadcast::Sender<Arc<LoggedPacket>>,
    ended: Arc<watch::Sender<bool>>,
}

impl Relay {
    /// A relay without a source.
    pub(crate) fn new() -> Self {
        Self {
            names: Arc::new(watch::Sender::new(Arc::default())),
            emitted: broadcast::Sender::new(BACKLOG),
            ended: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Starts to relay the packets of an instance, until [`Self::end`]. A failure is logged, and no
    /// packet is then.
    pub(crate) fn open(&self, pins: &Pins) -> Option<JoinHandle<()>> {
        match Ring::open(pins) {
            Ok(ring) => Some(task::spawn(self.clone().run(ring))),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::error!(
                    event = "packets_unreadable",
                    error,
                    "logged packets cannot be read"
                );
                None
            }
        }
    }

    /// Adds the rules that may be in force soon.
    pub(crate) fn expect(&self, candidate: &Metadata) {
        self.names.send_modify(|names| {
            let mut more = Names::clone(names);
            more.add(candidate);
            *names = Arc::new(more);
        });
    }

    /// Sets the rules in force, and the previous ones, of which events may still arrive.
    pub(crate) fn follow(&self, in_force: &Metadata, previous: Option<&Metadata>) {
        let names = Arc::new(Names::of(in_force, previous));
        self.names.send_replace(names);
    }

    /// The rules that may log packets, and those in force.
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names.borrow())
    }

    /// Subscribes to the packets that are emitted from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<LoggedPacket>> {
        self.emitted.subscribe()
    }

    /// Ends the relay once the packets logged so far are emitted.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    async fn run(self, mut ring: Ring) {
        let mut ended = self.ended.subscribe();
        loop {
            let goes_on = tokio::select! {
                _ = ended.wait_for(|&ended| ended) => false,
                ready = ring.wait() => ready.is_ok(),
            };
            // Also at the end, for the packets logged before it.
            self.drain(&mut ring).await;
            if !goes_on {
                return;
            }
        }
    }

    async fn drain(&self, ring: &mut Ring) {
        let mut emitted = 0;
        while let Some(event) = ring.next() {
            self.hand_on(&event);
            emitted += 1;
            if emitted % TURN == 0 {
                task::yield_now().await;
            }
        }
    }

    fn hand_on(&self, event: &Event) {
        let packet = LoggedPacket::new(event, &self.names());
        tracing::info!(
            event = "packet",
            rule = packet.rule,
            direction = packet.direction,
            action = packet.action,
            interface = packet.interface,
            queue = packet.queue,
            length = packet.length,
            packet = packet.packet,
            "rule `{}` {}: {}",
            packet.rule,
            packet.action,
            packet.packet
        );
        // It fails without receivers, which is no error.
        let _ = self.emitted.send(Arc::new(packet));
    }
}
