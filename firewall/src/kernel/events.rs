//! The maps of events: the limiter of each rule, and the ring buffer.

#![expect(unsafe_code, reason = "a descriptor is registered with the runtime")]

use std::io;

use aya::maps::{HashMap, Map, MapData, MapError, RingBuf};
use aya_obj::generated::{BPF_F_NO_PREALLOC, bpf_map_type};
use firewall_ebpf::{
    drop_capture::DropEvent,
    packet_log::{Event, LogLimiter, MAX_LIMITERS, RING_BYTES, SNAP_LEN},
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::kernel::{
    pins::{Pins, Shared},
    shared::{self, MakeError, OpenError, Spec},
    slot::Slot,
};

/// Why the maps of events could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// A map could not be made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// A map could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A limiter could not be read or set.
    #[error("the limits of logged packets could not be read or set")]
    LogLimiters(#[source] Box<MapError>),
    /// The ring buffer could not be mapped.
    #[error("the buffer of logged packets could not be mapped")]
    Ring(#[source] Box<MapError>),
    /// A map of captures of drops could not be read or set.
    #[error("captures of drops could not be read or set")]
    Drops(#[source] Box<MapError>),
    /// Nothing waits for the ring buffer.
    #[error("the buffer of logged packets cannot be waited for")]
    Wait(#[source] io::Error),
}

/// Makes and pins the maps; whether they are new.
pub(crate) fn create(pins: &Pins) -> Result<bool, EventsError> {
    let specs = [
        Spec {
            object: Shared::LogLimiters,
            kind: bpf_map_type::BPF_MAP_TYPE_HASH,
            key: size_of::<u32>(),
            value: size_of::<LogLimiter>(),
            entries: MAX_LIMITERS,
            flags: BPF_F_NO_PREALLOC,
        },
        Spec {
            object: Shared::Events,
            kind: bpf_map_type::BPF_MAP_TYPE_RINGBUF,
            key: 0,
            value: 0,
            entries: RING_BYTES,
            flags: 0,
        },
    ];
    Ok(shared::make(pins, &specs)?)
}

type LimiterWords = [u64; size_of::<LogLimiter>() / 8];

/// The limiters of the events of rules, with their counters.
pub(crate) struct LogLimiters(HashMap<MapData, u32, LimiterWords>);

impl LogLimiters {
    /// Opens the map of an instance.
    pub(crate) fn open(pins: &Pins) -> Result<Self, EventsError> {
        let map = Map::HashMap(shared::open(pins, Shared::LogLimiters)?);
        Ok(Self(HashMap::try_from(map).map_err(failed)?))
    }

    /// The limiter of a slot, if it has one.
    pub(crate) fn get(&self, slot: Slot) -> Result<Option<LogLimiter>, EventsError> {
        match self.0.get(&slot.number(), 0) {
            Ok([interval, tolerance, due, emitted, suppressed, lost]) => Ok(Some(LogLimiter {
                interval,
                tolerance,
                due,
                emitted,
                suppressed,
                lost,
            })),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Sets the limiter of a slot.
    pub(crate) fn set(&mut self, slot: Slot, limiter: &LogLimiter) -> Result<(), EventsError> {
        let &LogLimiter {
            interval,
            tolerance,
            due,
            emitted,
            suppressed,
            lost,
        } = limiter;
        let words = [interval, tolerance, due, emitted, suppressed, lost];
        self.0.insert(slot.number(), words, 0).map_err(failed)
    }

    /// Removes the limiter of a slot, if there is one.
    pub(crate) fn remove(&mut self, slot: Slot) -> Result<(), EventsError> {
        match self.0.remove(&slot.number()) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// The slots with a limiter.
    pub(crate) fn slots(&self) -> Result<Vec<Slot>, EventsError> {
        let slots = self.0.keys().map(|slot| slot.map(Slot::new));
        slots.collect::<Result<_, _>>().map_err(failed)
    }
}

fn failed(error: MapError) -> EventsError {
    EventsError::LogLimiters(Box::new(error))
}

/// A ring buffer. Only one process at a time may read it.
pub(crate) struct Ring(AsyncFd<RingBuf<MapData>>);

impl Ring {
    /// Opens the ring buffer of the packets that an instance logs.
    pub(crate) fn open(pins: &Pins) -> Result<Self, EventsError> {
        Self::of(pins, Shared::Events)
    }

    /// Opens the ring buffer of the packets that an instance drops while captures run.
    pub(crate) fn of_drops(pins: &Pins) -> Result<Self, EventsError> {
        Self::of(pins, Shared::DropEvents)
    }

    fn of(pins: &Pins, object: Shared) -> Result<Self, EventsError> {
        let map = Map::RingBuf(shared::open(pins, object)?);
        let ring = RingBuf::try_from(map).map_err(|error| EventsError::Ring(Box::new(error)))?;
        // SAFETY: the ring owns its descriptor and keeps it until dropped.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self(ring.map_err(|error| EventsError::Wait(error.into()))?))
    }

    /// Waits until there may be an event.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        self.0.readable_mut().await?.clear_ready();
        Ok(())
    }

    /// The next event of a packet that was logged, if there is one.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.next_of(event)
    }

    /// The next event of a packet that was dropped, if there is one.
    pub(crate) fn next_drop(&mut self) -> Option<DropEvent> {
        self.next_of(drop_event)
    }

    fn next_of<T>(&mut self, read: impl Fn(&mut &[u8]) -> Option<T>) -> Option<T> {
        loop {
            let record = self.0.get_mut().next()?;
            let mut rest: &[u8] = &record;
            // A record of another length is not from a program of this version.
            if let Some(event) = read(&mut rest).filter(|_| rest.is_empty()) {
                return Some(event);
            }
        }
    }
}

fn drop_event(rest: &mut &[u8]) -> Option<DropEvent> {
    let event = event(rest)?;
    let mut word = || Some(u32::from_ne_bytes(*take(rest)?));
    Some(DropEvent {
        event,
        packets: word()?,
        ban: word()?,
        one_in: word()?,
        padding: word()?,
    })
}

fn event(rest: &mut &[u8]) -> Option<Event> {
    let time = u64::from_ne_bytes(*take(rest)?);
    let mut word = || Some(u32::from_ne_bytes(*take(rest)?));
    let (slot, what, interface, queue) = (word()?, word()?, word()?, word()?);
    let (length, captured) = (word()?, word()?);
    Some(Event {
        time,
        slot,
        what,
        interface,
        queue,
        length,
        captured: captured.min(SNAP_LEN),
        bytes: *take(rest)?,
    })
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}
