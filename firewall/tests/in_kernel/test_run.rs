//! Frames handed to the program of a machine without a link: `BPF_PROG_TEST_RUN`.

use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use rules::Context;
use rules::model::Verdict;

use crate::machine::Machine;

/// The XDP program of a machine, as it is pinned.
pub(crate) struct Program(pub(crate) Xdp);

/// What the program has the kernel do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    Drop,
}

impl Program {
    pub(crate) fn of(machine: &Machine) -> Self {
        let pin = machine.pins().join("program");
        Self(Xdp::from_pin(pin, XdpAttachType::Interface).unwrap())
    }

    /// Runs the program on a frame, which arrives on the loopback interface.
    pub(crate) fn run(&self, frame: &[u8]) -> Result<Action, ProgramError> {
        let options = TestRunOptions {
            data_in: Some(frame),
            ..TestRunOptions::new()
        };
        Ok(action(self.0.test_run(options)?.return_value))
    }
}

/// The egress program of a machine, as it is pinned.
pub(crate) struct EgressProgram {
    program: SchedClassifier,
    /// Whether the kernel has packets be forwarded ones of an interface of choice.
    forwards: bool,
}

impl EgressProgram {
    pub(crate) fn of(machine: &Machine) -> Self {
        let pin = machine.pins().join("program-egress");
        let program = SchedClassifier::from_pin(pin).unwrap();
        let mut new = Self {
            program,
            forwards: true,
        };
        let context = Context {
            in_interface: Some(1),
            ..Context::sent(1)
        };
        new.forwards = new.run(&[0; 64], &context).is_ok();
        new
    }

    /// Runs the program on a frame; `None` when the kernel lets none have this context.
    pub(crate) fn run(
        &self,
        frame: &[u8],
        context: &Context<u32>,
    ) -> Result<Option<Action>, ProgramError> {
        self.run_often(frame, context, 1)
    }

    /// Likewise, again and again in the kernel.
    pub(crate) fn run_often(
        &self,
        frame: &[u8],
        context: &Context<u32>,
        repeat: u32,
    ) -> Result<Option<Action>, ProgramError> {
        let in_interface = context.in_interface.unwrap_or(0);
        if in_interface != 0 && !self.forwards {
            return Ok(None);
        }
        // The beginning of `struct __sk_buff`, `include/uapi/linux/bpf.h`.
        let mut buffer = [0_u32; 11];
        buffer[2] = context.mark;
        buffer[9] = in_interface;
        buffer[10] = context.interface;
        let buffer: Vec<u8> = buffer.into_iter().flat_map(u32::to_ne_bytes).collect();
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&buffer),
            repeat,
            ..TestRunOptions::new()
        };
        let result = self.program.test_run(options)?;
        // `TC_ACT_SHOT` and `TC_ACT_UNSPEC`, `include/uapi/linux/pkt_cls.h`.
        Ok(Some(match result.return_value {
            2 => Action::Drop,
            u32::MAX => Action::Pass,
            other => panic!("the program returned {other}"),
        }))
    }
}

/// What a number that the program returns means: `enum xdp_action`, `include/uapi/linux/bpf.h`.
pub(crate) fn action(number: u32) -> Action {
    match number {
        1 => Action::Drop,
        2 => Action::Pass,
        other => panic!("the program returned {other}"),
    }
}

impl From<Verdict> for Action {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Drop => Self::Drop,
        }
    }
}
