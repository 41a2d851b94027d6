//! Who reads the events of the kernel, and tells them to the log and to those who listen.

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

/// How many packets a listener may be behind.
const BACKLOG: usize = 4096;

/// How many packets are told until others have their turn: there may be but one thread for all.
const TURN: usize = 32;

/// The teller. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Relay {
    names: Arc<watch::Sender<Arc<Names>>>,
    told: broadcast::Sender<Arc<LoggedPacket>>,
    ended: Arc<watch::Sender<bool>>,
}

impl Relay {
    /// A teller that has nothing to tell yet.
    pub(crate) fn new() -> Self {
        Self {
            names: Arc::new(watch::Sender::new(Arc::default())),
            told: broadcast::Sender::new(BACKLOG),
            ended: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Begins to tell what the programs of an instance tell, until the end. When that fails, rules
    /// log nothing.
    pub(crate) fn open(&self, pins: &Pins) -> Option<JoinHandle<()>> {
        match Ring::open(pins) {
            Ok(ring) => Some(task::spawn(self.clone().tell(ring))),
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

    /// These rules may be in force soon.
    pub(crate) fn expect(&self, candidate: &Metadata) {
        self.names.send_modify(|names| {
            let mut more = Names::clone(names);
            more.add(candidate);
            *names = Arc::new(more);
        });
    }

    /// From now on these rules are in force.
    pub(crate) fn follow(&self, in_force: &Metadata, previous: Option<&Metadata>) {
        let names = Arc::new(Names::of(in_force, previous));
        self.names.send_replace(names);
    }

    /// The rules that may tell something, and those in force.
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names.borrow())
    }

    /// What is told from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<LoggedPacket>> {
        self.told.subscribe()
    }

    /// Has the reading end, once what was told before is told.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    async fn tell(self, mut ring: Ring) {
        let mut ended = self.ended.subscribe();
        loop {
            let goes_on = tokio::select! {
                _ = ended.wait_for(|&ended| ended) => false,
                ready = ring.wait() => ready.is_ok(),
            };
            // Also at the end: what was told before it.
            self.drain(&mut ring).await;
            if !goes_on {
                return;
            }
        }
    }

    async fn drain(&self, ring: &mut Ring) {
        let mut told = 0;
        while let Some(event) = ring.next() {
            self.hand_on(&event);
            told += 1;
            if told % TURN == 0 {
                task::yield_now().await;
            }
        }
    }

    fn hand_on(&self, event: &Event) {
        let told = LoggedPacket::new(event, &self.names());
        tracing::info!(
            event = "packet",
            rule = told.rule,
            verdict = told.verdict,
            interface = told.interface,
            queue = told.queue,
            length = told.length,
            packet = told.packet,
            "rule `{}` {}: {}",
            told.rule,
            told.verdict,
            told.packet
        );
        // Nobody may be listening.
        let _ = self.told.send(Arc::new(told));
    }
}
