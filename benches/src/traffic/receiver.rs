//! Counts the frames that arrive.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::socket::Counting;
use crate::{
    mark::Mark,
    network::{End, Namespace},
};

/// The time without arrivals after which no frame is expected any more.
const QUIET: Duration = Duration::from_millis(150);

/// The arrivals of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowArrivals {
    /// The number of packets.
    pub packets: u64,
    /// The number of bytes, without the outermost VLAN tag, which the kernel removes.
    pub bytes: u64,
    /// The sequence number of the first packet.
    pub first: Option<u32>,
    /// The sequence number of the last packet.
    pub last: Option<u32>,
    /// The number of packets that did not directly follow the previous sequence number.
    pub gaps: u64,
}

impl FlowArrivals {
    fn count(&mut self, sequence: u32, len: usize) {
        let follows = self
            .last
            .is_none_or(|last| last.wrapping_add(1) == sequence);
        self.packets += 1;
        self.bytes += len as u64;
        self.first.get_or_insert(sequence);
        self.last = Some(sequence);
        self.gaps += u64::from(!follows);
    }
}

/// The arrivals on an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// By flow, in the order of the mix.
    pub flows: Vec<FlowArrivals>,
    /// The number of frames without a mark, or with the mark of a flow that is not in the mix.
    pub unmarked: u64,
}

impl Arrivals {
    /// The marked packets of all flows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.flows.iter().map(|flow| flow.packets).sum()
    }

    /// The packets of each flow, in the order of the mix.
    #[must_use]
    pub fn packets(&self) -> Vec<u64> {
        self.flows.iter().map(|flow| flow.packets).collect()
    }

    fn count(&mut self, frame: &[u8]) {
        let marked = Mark::decode(frame).and_then(|mark| {
            let flow = self.flows.get_mut(usize::try_from(mark.flow).ok()?)?;
            Some((flow, mark.sequence))
        });
        match marked {
            Some((flow, sequence)) => flow.count(sequence, frame.len()),
            None => self.unmarked += 1,
        }
    }
}

/// Counts the frames that come in on one interface, on a separate thread.
#[derive(Debug)]
pub struct Receiver {
    finishing: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Arrivals>>>,
}

impl Receiver {
    /// Starts to count on `end`, which is in `namespace`, for a mix of `flows` flows. Every frame
    /// sent after this returns is counted.
    ///
    /// # Errors
    ///
    /// If the kernel refuses a packet socket.
    pub fn start(namespace: &Namespace, end: &End, flows: usize) -> Result<Self> {
        let socket = Counting::open(namespace, end, QUIET)?;
        let finishing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&finishing);
        let thread = thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || count(socket, flows, &flag))
            .context("cannot start a thread")?;
        Ok(Self {
            finishing,
            thread: Some(thread),
        })
    }

    /// Waits until nothing more arrives, and returns the counts.
    ///
    /// # Errors
    ///
    /// If the socket failed, or had no room for a frame, so that the counts would be wrong.
    pub fn finish(mut self) -> Result<Arrivals> {
        self.finishing.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the receiver has ended")?;
        thread
            .join()
            .map_err(|_| anyhow!("the receiver panicked"))?
    }
}

impl Drop for Receiver {
    /// Lets the thread end by itself.
    fn drop(&mut self) {
        self.finishing.store(true, Ordering::Relaxed);
    }
}

fn count(mut socket: Counting, flows: usize, finishing: &AtomicBool) -> Result<Arrivals> {
    let mut arrivals = Arrivals {
        flows: vec![FlowArrivals::default(); flows],
        unmarked: 0,
    };
    loop {
        // Read before the wait: only a complete wait without a frame shows that all have arrived.
        let is_last = finishing.load(Ordering::Relaxed);
        match socket.frames.next() {
            Ok(frame) => arrivals.count(frame),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                if is_last {
                    break;
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).context("cannot receive frames"),
        }
    }
    let lost = socket.lost()?;
    ensure!(lost == 0, "the receiver had no room for {lost} frames");
    Ok(arrivals)
}
