//! Frames handed to the program of a machine without a link: `BPF_PROG_TEST_RUN`.

use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
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
