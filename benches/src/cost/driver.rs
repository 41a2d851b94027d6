//! The driver: makes the kernel generate any number of frames from a series of packets, without a
//! copy or a system call per packet.
//!
//! The kernel runs an XDP program again and again on frames of its own (`BPF_PROG_TEST_RUN`,
//! `Documentation/bpf/bpf_prog_run.rst`). The program writes the next packet into the frame, and
//! redirects it into a veth pair (live frames, Linux 5.18) or calls the program under test.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::{Array, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunAttrs, TestRunOptions, Xdp},
};
use driver_ebpf::{FRAME_LEN, OFFSET, PACKETS, Record, STATE, TESTED, TESTED_FRAGS, program, word};

use super::{clock::Clock, object_file::ObjectFile, testbed::Testbed};
use crate::{
    network::{End, Link, Namespace, Network},
    tuple::Tuple,
};

/// The number of frames generated at a time. NAPI handles up to 64 in one poll: with fewer, the
/// polls keep up with the driver whatever a packet costs, and ksoftirqd is not needed.
const BATCH: u32 = 48;

/// The maximum length of a series, in packets.
pub const MAX_PACKETS: usize = 1 << 22;

/// The programs that generate packets.
const PROGRAMS: [&str; 4] = [
    program::SEND,
    program::DISCARD,
    program::CALL,
    program::CALL_FRAGS,
];

/// The programs that call others, and the arrays from which they call them.
const CALLERS: [(&str, &str); 2] = [(program::CALL, TESTED), (program::CALL_FRAGS, TESTED_FRAGS)];

/// The driver with a series of packets.
#[derive(Debug)]
pub struct Driver {
    object: ObjectFile,
    /// The network on which the programs are attached, although no packet arrives there. A program
    /// that is not attached is registered with the dispatcher of XDP programs for each run and
    /// removed after it (`bpf_prog_change_xdp`), and both wait for all CPUs.
    _stage: Network,
    /// A whole frame, whose hardware addresses the driver keeps.
    frame: Vec<u8>,
    count: u32,
    /// The lines of the table that is read.
    lines: u32,
}

/// What is read of a table, see [`Driver::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing.
    Nothing,
    /// The tags of a line, and then a word of the line.
    Line,
    /// The tags of two lines.
    Tags,
}

impl Reading {
    const ALL: [Self; 3] = [Self::Nothing, Self::Line, Self::Tags];

    const fn program(self) -> &'static str {
        match self {
            Self::Nothing => program::DROP,
            Self::Line => program::READ_LINE,
            Self::Tags => program::READ_TAGS,
        }
    }
}

/// The result of one run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The number of packets generated.
    pub packets: u32,
    /// The CPU time of all of them.
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
    /// Loads the driver with packets, which it generates repeatedly in this order, with the
    /// hardware addresses for the host of `testbed`.
    ///
    /// # Errors
    ///
    /// If there is no packet or too many, one has addresses of two families, or the kernel refuses
    /// the program.
    pub fn load(packets: &[Tuple], testbed: &Testbed) -> Result<Self> {
        Self::with_programs(packets, testbed, 1, &PROGRAMS)
    }

    /// The same with a table of so many lines, a power of two, to be [read](Self::read).
    ///
    /// # Errors
    ///
    /// As for [`Self::load`].
    pub fn with_table(packets: &[Tuple], testbed: &Testbed, lines: u32) -> Result<Self> {
        let mut programs = PROGRAMS.to_vec();
        programs.extend(Reading::ALL.map(Reading::program));
        Self::with_programs(packets, testbed, lines, &programs)
    }

    fn with_programs(
        packets: &[Tuple],
        testbed: &Testbed,
        lines: u32,
        programs: &[&str],
    ) -> Result<Self> {
        ensure!(
            (1..=MAX_PACKETS).contains(&packets.len()),
            "a series has 1 to {MAX_PACKETS} packets, not `{}`",
            packets.len()
        );
        let count = u32::try_from(packets.len())?;
        let mut object = ObjectFile::with_table(count, lines, programs)?;
        let mut frame = Vec::new();
        let link = testbed.network().link();
        let mut records: Array<_, Record> = object.map(PACKETS)?;
        for (number, tuple) in (0..).zip(packets) {
            let bytes = frame_of(tuple, link).with_context(|| {
                format!("no frame of {FRAME_LEN} bytes has packet {number}: `{tuple:?}`")
            })?;
            records.set(number, record(&bytes), 0)?;
            frame = bytes;
        }
        let stage = Network::with_links(PROGRAMS.len())?;
        for (name, link) in PROGRAMS.into_iter().zip(stage.links()) {
            object.attach(name, &stage.host, &link.host)?;
        }
        Ok(Self {
            object,
            _stage: stage,
            frame,
            count,
            lines,
        })
    }

    /// The number of packets in the series.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Sends `packets` packets to the host of a testbed, from number `from` of the series on.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn send(
        &mut self,
        testbed: &Testbed,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        self.run_live(program::SEND, testbed, from, packets, clock)
    }

    /// Generates packets and drops them.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn discard(
        &mut self,
        testbed: &Testbed,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        self.run_live(program::DISCARD, testbed, from, packets, clock)
    }

    /// Generates packets and calls `tested` with each, as if the host of a testbed had received
    /// them; the host must have an XDP program.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, as it does for a program of a different kind than the driver.
    pub fn call(
        &mut self,
        tested: &ProgramFd,
        testbed: &Testbed,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        self.set_state(from, testbed.host())?;
        let (caller, array) = self.caller_of(tested)?;
        let options = TestRunOptions {
            ctx_in: Some(&context(self.frame.len(), testbed.host())?),
            data_in: Some(&self.frame),
            repeat: packets,
            ..TestRunOptions::new()
        };
        let program = self.object.program(caller)?;
        let run = run(program, &testbed.network().host, options, clock);
        let mut array: ProgramArray<_> = self.object.map(array)?;
        array.clear_index(&0)?;
        run
    }

    /// Generates packets, and reads a table at a place that the source address of each chooses, as if it were a table of
    /// flows: the least that finding one takes, in memory that was not read for other packets.
    ///
    /// # Errors
    ///
    /// As for [`Self::call`]; also if the driver has no table.
    pub fn read(
        &mut self,
        reading: Reading,
        testbed: &Testbed,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        let program = self.object.fd(reading.program())?;
        self.call(&program, testbed, from, packets, clock)
    }

    /// Puts `tested` into the array for its kind; returns the program that calls it from there.
    fn caller_of(&mut self, tested: &ProgramFd) -> Result<(&'static str, &'static str)> {
        let mut refusal = None;
        for (caller, name) in CALLERS {
            let mut array: ProgramArray<_> = self.object.map(name)?;
            match array.set(0, tested, 0) {
                Ok(()) => return Ok((caller, name)),
                Err(error) => refusal = Some(error),
            }
        }
        let refusal = refusal.context("the driver calls no programs")?;
        Err(refusal).context("the program under test cannot be called from the driver")
    }

    /// Runs a program on live frames in the namespace of the peer.
    fn run_live(
        &mut self,
        name: &str,
        testbed: &Testbed,
        from: u32,
        packets: u32,
        clock: &Clock,
    ) -> Result<Run> {
        self.set_state(from, testbed.peer())?;
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH.min(packets)),
            ..TestRunOptions::new()
        };
        let program = self.object.program(name)?;
        run(program, &testbed.network().peer, options, clock)
    }

    fn set_state(&mut self, from: u32, target: &End) -> Result<()> {
        let mut words = [0; word::WORDS];
        for (place, value) in [
            (word::NEXT, from % self.count),
            (word::COUNT, self.count),
            (word::TARGET, target.index),
            (word::LAST_LINE, self.lines - 1),
        ] {
            if let Some(word) = words.get_mut(place) {
                *word = value;
            }
        }
        let mut state: Array<_, [u32; word::WORDS]> = self.object.map(STATE)?;
        state.set(0, words, 0)?;
        Ok(())
    }
}

/// Runs a program with `options` in a namespace.
fn run(
    program: &Xdp,
    namespace: &Namespace,
    options: TestRunOptions<'_>,
    clock: &Clock,
) -> Result<Run> {
    let packets = options.repeat;
    let (time, _) = namespace.run(|| {
        clock.time(|| {
            let ran = program.test_run(options);
            ran.context("the kernel does not run the driver")
        })
    })??;
    Ok(Run { packets, time })
}

/// A `struct xdp_md` (`include/uapi/linux/bpf.h`) for a frame that an interface received.
fn context(frame: usize, interface: &End) -> Result<Vec<u8>> {
    let [data, data_meta, queue, egress] = [0; 4];
    let end = u32::try_from(frame)?;
    let words = [data, end, data_meta, interface.index, queue, egress];
    Ok(words.into_iter().flat_map(u32::to_ne_bytes).collect())
}

/// The whole frame of a packet, padded with payload; `None` if the packet does not fit.
fn frame_of(tuple: &Tuple, link: &Link) -> Option<Vec<u8>> {
    let packet = link.to_host(tuple.packet()?);
    let missing = FRAME_LEN.checked_sub(packet.build().len())?;
    let frame = packet.payload(&vec![0; missing]).build();
    (frame.len() == FRAME_LEN).then_some(frame)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost::drawing::any_packets, packet::protocol, rulesets::Family};

    #[test]
    fn frames_have_one_length() {
        let link = Link::plan(0);
        for tuple in any_packets(&[Family::V4, Family::V6], 1000, 1) {
            let frame = frame_of(&tuple, &link);
            assert_eq!(frame.map(|frame| frame.len()), Some(FRAME_LEN), "{tuple:?}");
            // Its chunks end at multiples of four bytes.
            let sctp = Tuple {
                protocol: protocol::SCTP,
                ..tuple
            };
            assert_eq!(frame_of(&sctp, &link), None, "{tuple:?}");
        }
    }
}
