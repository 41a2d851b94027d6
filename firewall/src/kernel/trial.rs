//! Programs loaded for tests: they have their own maps, are not attached, and run on the frames given
//! to them (`BPF_PROG_TEST_RUN`).

use std::path::Path;

use aya::{
    Ebpf,
    programs::{ProgramError, TestRun as _, TestRunOptions},
};
use firewall_ebpf::abi;

use crate::kernel::{
    counters::{Counters, CountersError},
    hook::Hook,
    image_size::ImageSize,
    images::{Image, ImageError, Images},
    pins::{self, PinError},
    program::{self, FlowSetting, LoadError, ObjectFile, Setting},
    slot::{Capacity, Slot},
    trial_flows::{TrialFlows, TrialFlowsError},
};

pub(crate) use crate::kernel::trial_flows::FlowTime;

/// The minimum and maximum length of a frame that every kernel accepts: an Ethernet header, and a
/// page of 4,096 bytes without the part that the kernel reserves (`bpf_test_init`,
/// `net/bpf/test_run.c`).
const FRAMES: std::ops::RangeInclusive<usize> = 14..=3520;

/// The interface on which a frame arrives unless another is given
/// (`bpf_prog_test_run_xdp`, `net/bpf/test_run.c`): in every network namespace the first
/// (`LOOPBACK_IFINDEX`, `include/net/flow.h`).
pub(crate) const LOOPBACK: u32 = 1;

/// Why a program cannot be tested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The counters.
    #[error(transparent)]
    Counters(#[from] CountersError),
    /// The program.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The pin by which the program finds the image.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The kernel did not run the program.
    #[error("the kernel does not run the program on a packet")]
    Run(#[source] Box<ProgramError>),
    /// The table of flows.
    #[error(transparent)]
    Flows(#[from] TrialFlowsError),
    /// The program returned an unexpected value.
    #[error("internal error: the program returned the action {0}; please report this")]
    Action(u32),
}

impl TrialError {
    /// How to fix it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.help(),
            Self::Load(error) => error.help(),
            Self::Counters(_) | Self::Pin(_) | Self::Run(_) | Self::Flows(_) | Self::Action(_) => {
                None
            }
        }
    }
}

/// What the kernel knows of a packet out, besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The index of the interface by which it leaves.
    pub(crate) interface: u32,
    /// The index of the interface on which it arrived; 0 of the machine's own.
    pub(crate) in_interface: u32,
    /// Its mark.
    pub(crate) mark: u32,
}

/// The programs under test.
pub(crate) struct Trial {
    ebpf: Ebpf,
    counters: Counters,
    /// The table of flows, where rules ask for states.
    flows: Option<TrialFlows>,
    /// Whether the kernel lets a frame arrive on an interface of choice (Linux 5.15).
    takes_interfaces: bool,
}

/// The result for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Whether the program returned `XDP_PASS`, not `XDP_DROP`.
    pub(crate) passes: bool,
    /// The index of the interface on which the frame arrived.
    pub(crate) interface: u32,
}

impl Trial {
    /// Loads the program with the image `bytes`, and a table of `flows` slots where rules ask for states. The image is
    /// pinned to `pin` for that time only.
    pub(crate) fn load(
        object: &ObjectFile,
        bytes: &[u8],
        size: ImageSize,
        capacity: Capacity,
        pin: &Path,
        flows: Option<u32>,
    ) -> Result<Self, TrialError> {
        let image = Image::create(size, bytes)?;
        let images = Images::create(c"IMAGES", &image)?;
        images.pin(pin)?;
        let loaded = program::verified(
            object,
            &Setting {
                images: pin,
                size,
                counters: None,
                capacity,
                shared: None,
                flows: flows.map(|slots| FlowSetting {
                    slots,
                    pins: Vec::new(),
                }),
            },
        );
        pins::unpin(pin)?;
        let mut ebpf = loaded?;
        let counters = ebpf
            .take_map(abi::COUNTERS)
            .ok_or(LoadError::NoMap(abi::COUNTERS))?;
        let flows = flows.map(|_| TrialFlows::take(&mut ebpf)).transpose()?;
        Ok(Self {
            ebpf,
            counters: Counters::of(counters)?,
            flows,
            takes_interfaces: true,
        })
    }

    /// Begins another sequence of packets: no flow is known, and the time is this.
    pub(crate) fn begin(&mut self, time: &FlowTime) -> Result<(), TrialError> {
        if let Some(flows) = &mut self.flows {
            flows.clear()?;
        }
        self.set_time(time)
    }

    /// Sets the time in a sequence of packets.
    pub(crate) fn set_time(&mut self, time: &FlowTime) -> Result<(), TrialError> {
        if let Some(flows) = &mut self.flows {
            flows.set_time(time)?;
        }
        Ok(())
    }

    /// Runs the program on a frame that arrives on `interface`, which must exist; on the loopback
    /// interface on a kernel that knows no better. `None` when no kernel takes such a frame.
    pub(crate) fn run(&mut self, frame: &[u8], interface: u32) -> Result<Option<Run>, TrialError> {
        if !FRAMES.contains(&frame.len()) {
            return Ok(None);
        }
        if self.takes_interfaces && interface != LOOPBACK {
            match self.test(frame, Some(&context(frame, interface))) {
                Ok(passes) => return Ok(Some(Run { passes, interface })),
                Err(TrialError::Run(error)) if is_invalid(&error) => {
                    tracing::debug!(
                        event = "trials_on_loopback",
                        "this kernel tries programs on the loopback interface only"
                    );
                    self.takes_interfaces = false;
                }
                Err(error) => return Err(error),
            }
        }
        let passes = self.test(frame, None)?;
        let interface = LOOPBACK;
        Ok(Some(Run { passes, interface }))
    }

    /// Runs the program for packets out on a frame that leaves by an interface, which must exist, and returns whether
    /// it passes. `None` when this kernel does not take such a frame, or, before Linux 5.11, the interface on which it
    /// arrived.
    pub(crate) fn run_out(&mut self, frame: &[u8], sent: Sent) -> Result<Option<bool>, TrialError> {
        // `include/uapi/linux/pkt_cls.h`.
        const NEXT: u32 = -1_i32 as u32;
        const SHOT: u32 = 2;
        if !FRAMES.contains(&frame.len()) {
            return Ok(None);
        }
        let context = sent_context(sent);
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        let by_state = self.flows.is_some();
        if by_state {
            program::track(Hook::Egress, &mut self.ebpf)?;
        }
        let run = program::verified_at(Hook::Egress, &mut self.ebpf, by_state)?.test_run(options);
        match run {
            Ok(run) => match run.return_value {
                NEXT => Ok(Some(true)),
                SHOT => Ok(Some(false)),
                other => Err(TrialError::Action(other)),
            },
            Err(error) if is_invalid(&error) => Ok(None),
            Err(error) => Err(TrialError::Run(Box::new(error))),
        }
    }

    /// How many packets the programs have counted in a slot.
    pub(crate) fn packets(&self, slot: Slot) -> Result<u64, TrialError> {
        Ok(self.counters.read_own(slot)?.packets)
    }

    /// Whether the program lets the frame pass.
    fn test(&mut self, frame: &[u8], context: Option<&[u8]>) -> Result<bool, TrialError> {
        // `enum xdp_action`, `include/uapi/linux/bpf.h`.
        const DROP: u32 = 1;
        const PASS: u32 = 2;
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: context,
            ..TestRunOptions::new()
        };
        let run = program::xdp(&mut self.ebpf, self.flows.is_some())?
            .test_run(options)
            .map_err(|error| TrialError::Run(Box::new(error)))?;
        match run.return_value {
            DROP => Ok(false),
            PASS => Ok(true),
            other => Err(TrialError::Action(other)),
        }
    }
}

/// `struct xdp_md`, `include/uapi/linux/bpf.h`, as `BPF_PROG_TEST_RUN` wants it: data, its end,
/// metadata, receiving interface, receive queue, sending interface.
fn context(frame: &[u8], interface: u32) -> Vec<u8> {
    let end = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let words = [0, end, 0, interface, 0, 0];
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// The beginning of `struct __sk_buff`, `include/uapi/linux/bpf.h`: the mark is its third word, the interface on which the
/// packet arrived (Linux 5.11) and that by which it leaves (Linux 5.10) are the last two; the others must be 0.
fn sent_context(sent: Sent) -> Vec<u8> {
    let Sent {
        interface,
        in_interface,
        mark,
    } = sent;
    let words = [0, 0, mark, 0, 0, 0, 0, 0, 0, in_interface, interface];
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn is_invalid(error: &ProgramError) -> bool {
    if let ProgramError::SyscallError(error) = error {
        error.io_error.raw_os_error() == Some(libc::EINVAL)
    } else {
        false
    }
}
