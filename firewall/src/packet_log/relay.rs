//! Relays packets from the ring buffers of the kernel: those that are logged to the log and to captures, dropped ones to
//! captures of drops.

use std::{error::Error, sync::Arc};

use firewall_ebpf::{bans::REASONS, drop_capture::DropEvent, packet_log::Event};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::{self, JoinHandle},
};

use crate::{
    bans::prefilter::Prefilter,
    generation::metadata::Metadata,
    kernel::{
        bans::PrefilterMap,
        events::{EventsError, Ring},
        pins::Pins,
    },
    packet_log::{LoggedPacket, Names, drop_captures::DropCaptures},
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
    dropped: broadcast::Sender<Arc<LoggedPacket>>,
    captures: DropCaptures,
    /// Asks the task that reads dropped packets to pass on all that were emitted so far.
    flushes: Arc<watch::Sender<Option<mpsc::Sender<oneshot::Sender<()>>>>>,
    ended: Arc<watch::Sender<bool>>,
}

impl Relay {
    /// A relay without a source.
    pub(crate) fn new() -> Self {
        Self {
            names: Arc::new(watch::Sender::new(Arc::default())),
            emitted: broadcast::Sender::new(BACKLOG),
            dropped: broadcast::Sender::new(BACKLOG),
            captures: DropCaptures::default(),
            flushes: Arc::new(watch::Sender::new(None)),
            ended: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Starts to relay the packets of an instance, until [`Self::end`]. A failure is logged, and no
    /// packet is then.
    pub(crate) fn open(&self, pins: &Pins) -> Option<JoinHandle<()>> {
        match self.try_open(pins) {
            Ok(task) => Some(task),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::error!(
                    event = "packets_unreadable",
                    error,
                    "logged and dropped packets cannot be read"
                );
                None
            }
        }
    }

    fn try_open(&self, pins: &Pins) -> Result<JoinHandle<()>, EventsError> {
        let ring = Ring::open(pins)?;
        let drops = Ring::of_drops(pins)?;
        self.captures.open(pins)?;
        // Without it, bans have no reasons here.
        let bans = PrefilterMap::open(pins).ok();
        let (sender, flushes) = mpsc::channel(1);
        self.flushes.send_replace(Some(sender));
        let relay = self.clone();
        Ok(task::spawn(async move {
            let drops = DropReader {
                ring: drops,
                bans,
                flushes,
            };
            tokio::join!(relay.run(ring), relay.run_drops(drops));
            relay.captures.close();
        }))
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
        self.captures.follow(Arc::clone(&names));
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

    /// Subscribes to the packets that are dropped from now on, while captures ask for them.
    pub(crate) fn listen_to_drops(&self) -> broadcast::Receiver<Arc<LoggedPacket>> {
        self.dropped.subscribe()
    }

    /// The captures of drops.
    pub(crate) fn drop_captures(&self) -> &DropCaptures {
        &self.captures
    }

    /// Waits until all dropped packets that were emitted so far are passed on.
    pub(crate) async fn flush_drops(&self) {
        let sender = self.flushes.borrow().clone();
        let (done, flushed) = oneshot::channel();
        if let Some(sender) = sender
            && sender.send(done).await.is_ok()
        {
            // It is dropped at the end of the relay, which passes all on, too.
            let _ = flushed.await;
        }
    }

    /// Ends the relay once the packets logged so far are emitted.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    async fn run(&self, mut ring: Ring) {
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

    async fn run_drops(&self, mut drops: DropReader) {
        let mut ended = self.ended.subscribe();
        loop {
            let mut flush = None;
            let goes_on = tokio::select! {
                _ = ended.wait_for(|&ended| ended) => false,
                asked = drops.flushes.recv() => {
                    flush = asked;
                    true
                },
                ready = drops.ring.wait() => ready.is_ok(),
            };
            self.drain_drops(&mut drops).await;
            if let Some(flush) = flush {
                // Nobody may wait for it any more.
                let _ = flush.send(());
            }
            if !goes_on {
                return;
            }
        }
    }

    async fn drain_drops(&self, drops: &mut DropReader) {
        let mut emitted = 0;
        while let Some(event) = drops.ring.next_drop() {
            // Words are made for those who read them.
            if self.dropped.receiver_count() > 0 {
                let packet = drops.packet(&event, &self.names());
                let _ = self.dropped.send(Arc::new(packet));
            }
            emitted += 1;
            if emitted % TURN == 0 {
                task::yield_now().await;
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
        let names = self.names();
        let packet = LoggedPacket::new(event, &names);
        if names.is_for_journal(event.slot) {
            tracing::info!(
                event = "packet",
                rule = packet.rule,
                reason = packet.reason,
                direction = packet.direction,
                action = packet.action,
                interface = packet.interface,
                queue = packet.queue,
                length = packet.length,
                packet = packet.packet,
                "{} {}: {}",
                packet.decider(),
                packet.action,
                packet.packet
            );
        }
        // It fails without receivers, which is no error.
        let _ = self.emitted.send(Arc::new(packet));
    }
}

/// Reads dropped packets.
struct DropReader {
    ring: Ring,
    /// Has the reasons of bans.
    bans: Option<PrefilterMap>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
}

impl DropReader {
    fn packet(&self, event: &DropEvent, names: &Names) -> LoggedPacket {
        LoggedPacket::dropped(event, names, |number| {
            let bans = self.bans.as_ref().filter(|_| number < REASONS);
            bans.map_or_else(String::new, |bans| {
                Prefilter::new(bans.words()).reason(number)
            })
        })
    }
}
