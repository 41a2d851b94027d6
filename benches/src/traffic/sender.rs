//! Sends frames at a steady rate.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use pnet::datalink::DataLinkSender;

use super::socket;
use crate::{
    mix::Mix,
    network::{End, Namespace},
};

/// The maximum number of frames sent in a row after the sender was held up; the receive ring of a
/// veth has room for 256 (`VETH_RING_SIZE`, `drivers/net/veth.c`).
const MAX_BURST: u64 = 64;

/// The pause while the far end has no room, and the maximum number of pauses.
const RETRY_PAUSE: Duration = Duration::from_micros(50);
const RETRIES: u32 = 20_000;

/// The maximum sleep of the sender between two checks of its stop flag.
const MAX_SLEEP: Duration = Duration::from_millis(50);

/// The limit at which sending ends.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// The number of packets.
    Packets(u64),
    /// The duration.
    Time(Duration),
}

/// The packets that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number of packets of each flow, in the order of the mix.
    pub packets: Vec<u64>,
    /// The number of bytes of each flow, without frame check sequences.
    pub bytes: Vec<u64>,
    /// The time from the first packet to the end.
    pub elapsed: Duration,
}

impl Sent {
    /// The packets of all flows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.packets.iter().sum()
    }
}

/// Sends frames on one interface.
pub struct Sender {
    channel: Box<dyn DataLinkSender>,
}

impl Sender {
    /// Opens `end`, which is in `namespace`.
    ///
    /// # Errors
    ///
    /// If the kernel refuses a packet socket.
    pub fn open(namespace: &Namespace, end: &End) -> Result<Self> {
        Ok(Self {
            channel: socket::sending(namespace, end)?,
        })
    }

    /// Sends one frame, and waits while the far end has no room for it.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the frame, or has no room for a second.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        for _ in 0..RETRIES {
            match self.channel.send_to(frame, None) {
                Some(Ok(())) => return Ok(()),
                // veth refuses a frame with ENOBUFS, so no frame is lost unnoticed.
                Some(Err(error)) if is_no_room(&error) => thread::sleep(RETRY_PAUSE),
                Some(Err(error)) => return Err(error).context("cannot send a frame"),
                None => bail!("pnet has no buffer for a frame of {} bytes", frame.len()),
            }
        }
        bail!("the far end took no frame for {:?}", RETRY_PAUSE * RETRIES)
    }

    /// Sends packets of `mix`, `rate` a second, until `limit` or until `stop` is set.
    ///
    /// # Errors
    ///
    /// If the mix is empty or a frame cannot be sent.
    pub fn run(
        &mut self,
        mix: &mut Mix,
        rate: u32,
        limit: Limit,
        stop: &AtomicBool,
    ) -> Result<Sent> {
        ensure!(rate > 0, "a rate of 0 packets a second sends nothing");
        let mut packets = vec![0; mix.len()];
        let mut bytes = vec![0; mix.len()];
        let (count, time) = match limit {
            Limit::Packets(count) => (count, Duration::MAX),
            Limit::Time(time) => (u64::MAX, time),
        };
        let mut total = 0;
        // Packet number `total` is due `total / rate` seconds after `start`; a sender that is late
        // by more than a burst moves `start` instead of catching up.
        let began = Instant::now();
        let mut start = began;
        while total < count && !stop.load(Ordering::Relaxed) && began.elapsed() < time {
            let due = start + Duration::from_secs_f64(total as f64 / f64::from(rate));
            let now = Instant::now();
            if let Some(early) = due.checked_duration_since(now) {
                thread::sleep(early.min(MAX_SLEEP));
                continue;
            }
            let burst = Duration::from_secs_f64(MAX_BURST as f64 / f64::from(rate));
            if let Some(late) = (now - due).checked_sub(burst) {
                start += late;
            }
            let draw = mix.draw().context("the mix has no packets")?;
            self.send(draw.frame)?;
            add(&mut packets, draw.flow, 1);
            add(&mut bytes, draw.flow, draw.frame.len() as u64);
            total += 1;
        }
        Ok(Sent {
            packets,
            bytes,
            elapsed: began.elapsed(),
        })
    }
}

/// Adds to one of the counts, which are as many as the mix has flows.
fn add(counts: &mut [u64], flow: usize, amount: u64) {
    if let Some(count) = counts.get_mut(flow) {
        *count += amount;
    }
}

fn is_no_room(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOBUFS | Errno::EAGAIN))
}
