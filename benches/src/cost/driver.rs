//! The driver: has the kernel make frames out of a series of packets, as many as wanted, without
//! a copy or a system call a packet.
//!
//! The kernel runs an XDP program again and again on frames of its own (`BPF_PROG_TEST_RUN`,
//! `Documentation/bpf/bpf_prog_run.rst`). The program writes the next packet into the frame, and
//! redirects it into a veth pair (live frames, Linux 5.18) or calls the program under test.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use driver_ebpf::{FRAME_LEN, OFFSET, PACKETS, Record, STATE, TESTED, program, word};

use super::{arena::Arena, clock::Clock};
use crate::{network::End, tuple::Tuple};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/driver-xdp"));

/// How many frames are made at a time. NAPI handles up to 64 in one poll: with fewer, the polls
/// keep up with the driver whatever a packet costs, and nothing is left to ksoftirqd.
const BATCH: u32 = 48;

/// The most packets of a series.
pub const MAX_PACKETS: usize = 1 << 22;

/// The driver with a series of packets.
#[derive(Debug)]
pub struct Driver {
    ebpf: Ebpf,
    /// A whole frame, of which the driver keeps the hardware addresses.
    frame: Vec<u8>,
    count: u32,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How many packets were made.
    pub packets: u32,
    /// The CPU time of them all.
    pub time: Duration,
}

impl Run {
    /// The CPU time of one packet in nanoseconds.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.time.as_secs_f64() * 1e9 / f64::from(self.packets)
    }
}

impl Driver {
    /// Loads the driver with packets, which it will make in this order, again and again, all with
    /// the hardware addresses of the way to the host of `arena`.
    ///
    /// # Errors
    ///
    /// If there is no packet or too many, one has addresses of two families, or the kernel refuses
    /// the program.
    pub fn load(packets: &[Tuple], arena: &Arena) -> Result<Self> {
        ensure!(
            (1..=MAX_PACKETS).contains(&packets.len()),
            "a series has 1 to {MAX_PACKETS} packets, not `{}`",
            packets.len()
        );
        let count = u32::try_from(packets.len())?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(PACKETS, count)
            .load(OBJECT)
            .context("cannot load the driver")?;
        let mut frame = Vec::new();
        let mut records: Array<_, Record> = map(&mut ebpf, PACKETS)?;
        for (number, tuple) in (0..).zip(packets) {
            let bytes = frame_of(tuple, arena)
                .with_context(|| format!("packet {number} is none: `{tuple:?}`"))?;
            records.set(number, record(&bytes), 0)?;
            frame = bytes;
        }
        for name in [
            program::SEND,
            program::DISCARD,
            program::CALL,
            program::DROP,
            program::PASS,
        ] {
            let program: &mut Xdp = ebpf
                .program_mut(name)
                .with_context(|| format!("the driver has no program `{name}`"))?
                .try_into()?;
            program
                .load()
                .with_context(|| format!("the kernel refuses the program `{name}`"))?;
        }
        Ok(Self { ebpf, frame, count })
    }

    /// How many packets are in the series.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Sends `packets` packets to the host of an arena, from number `from` of the series on.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn send(&mut self, arena: &Arena, from: u32, packets: u32, clock: &Clock) -> Result<Run> {
        self.set_state(from, arena.peer())?;
        let attributes = TestRunAttrs::new().xdp_live_frames(BATCH.min(packets));
        let program = self.program(program::SEND)?;
        let time = arena
            .network()
            .peer
            .run(|| run(program, &self.frame, None, packets, attributes, clock))??;
        Ok(Run { packets, time })
    }

    /// Makes packets and drops them.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn discard(
        &mut self,
        arena: &Arena,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        self.set_state(from, arena.peer())?;
        let attributes = TestRunAttrs::new().xdp_live_frames(BATCH.min(packets));
        let program = self.program(program::DISCARD)?;
        let time = arena
            .network()
            .peer
            .run(|| run(program, &self.frame, None, packets, attributes, clock))??;
        Ok(Run { packets, time })
    }

    /// Makes packets and calls `tested` with each, as if they had been received by the host of an
    /// arena, which must have an XDP program.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, as it does for a program that differs from the driver in kind.
    pub fn call(
        &mut self,
        tested: &ProgramFd,
        arena: &Arena,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        self.set_state(from, arena.host())?;
        let mut array: ProgramArray<_> = map(&mut self.ebpf, TESTED)?;
        array
            .set(0, tested, 0)
            .context("the program under test cannot be called from the driver")?;
        let context = context(self.frame.len(), arena.host())?;
        let program = self.program(program::CALL)?;
        let result = arena.network().host.run(|| {
            let attributes = TestRunAttrs::new();
            run(
                program,
                &self.frame,
                Some(&context),
                packets,
                attributes,
                clock,
            )
        });
        let mut array: ProgramArray<_> = map(&mut self.ebpf, TESTED)?;
        array.clear_index(&0)?;
        Ok(Run {
            packets,
            time: result??,
        })
    }

    /// Attaches one of the programs [`program::DROP`] and [`program::PASS`] to the host of an
    /// arena in native mode, until the driver is dropped.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn attach(&mut self, name: &str, arena: &Arena) -> Result<()> {
        let index = arena.host().index;
        let program: &mut Xdp = self
            .ebpf
            .program_mut(name)
            .with_context(|| format!("the driver has no program `{name}`"))?
            .try_into()?;
        arena
            .network()
            .host
            .run(|| program.attach_to_if_index(index, XdpMode::Driver))??;
        Ok(())
    }

    /// A descriptor of one of the programs.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn fd(&self, name: &str) -> Result<ProgramFd> {
        Ok(self.program(name)?.fd()?.try_clone()?)
    }

    fn program(&self, name: &str) -> Result<&Xdp> {
        Ok(self
            .ebpf
            .program(name)
            .with_context(|| format!("the driver has no program `{name}`"))?
            .try_into()?)
    }

    fn set_state(&mut self, from: u32, target: &End) -> Result<()> {
        let mut words = [0; word::WORDS];
        for (place, value) in [
            (word::NEXT, from % self.count),
            (word::COUNT, self.count),
            (word::TARGET, target.index),
        ] {
            if let Some(word) = words.get_mut(place) {
                *word = value;
            }
        }
        let mut state: Array<_, [u32; word::WORDS]> = map(&mut self.ebpf, STATE)?;
        state.set(0, words, 0)?;
        Ok(())
    }
}

/// Runs a program `packets` times on the frame, on the thread and in the namespace of the caller.
fn run(
    program: &Xdp,
    frame: &[u8],
    context: Option<&[u8]>,
    packets: u32,
    attrs: TestRunAttrs,
    clock: &Clock,
) -> Result<Duration> {
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: context,
        repeat: packets,
        attrs,
        ..TestRunOptions::new()
    };
    let (time, _) = clock.time(|| {
        program
            .test_run(options)
            .context("the kernel does not run the driver")
    })?;
    Ok(time)
}

/// A `struct xdp_md` (`include/uapi/linux/bpf.h`) for a frame that an interface received.
fn context(frame: usize, interface: &End) -> Result<Vec<u8>> {
    let [data, data_meta, queue, egress] = [0; 4];
    let end = u32::try_from(frame)?;
    let words = [data, end, data_meta, interface.index, queue, egress];
    Ok(words.into_iter().flat_map(u32::to_ne_bytes).collect())
}

/// The map of the name given.
fn map<'a, M>(ebpf: &'a mut Ebpf, name: &str) -> Result<M>
where
    M: TryFrom<&'a mut aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf
        .map_mut(name)
        .with_context(|| format!("the driver has no map `{name}`"))?;
    Ok(M::try_from(map)?)
}

/// The whole frame of a packet, filled up with payload.
fn frame_of(tuple: &Tuple, arena: &Arena) -> Option<Vec<u8>> {
    let packet = arena.network().link().to_host(tuple.packet()?);
    let missing = FRAME_LEN.checked_sub(packet.build().len())?;
    Some(packet.payload(&vec![0; missing]).build())
}

/// The part of a frame that the driver writes.
fn record(frame: &[u8]) -> Record {
    let mut record = Record::default();
    let words = frame.get(OFFSET..).unwrap_or_default().chunks_exact(8);
    for (to, from) in record.iter_mut().zip(words) {
        *to = from.try_into().map_or(0, u64::from_ne_bytes);
    }
    record
}
