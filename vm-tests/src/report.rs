//! The report of a guest: one line of JSON per event, on a serial port to which nothing else
//! writes, and finally an exit status.

use serde::{Deserialize, Serialize};

use crate::scenarios::Scenario;

/// The serial port of the report, in the guest.
pub const PORT: &str = "/dev/ttyS1";

/// The I/O port of QEMU's `isa-debug-exit`, which ends the guest with a status.
pub const EXIT_PORT: u16 = 0xf4;

/// How a guest ends the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has run every scenario.
    Done,
    /// A scenario cuts the power.
    PowerCut,
}

impl End {
    const ALL: [Self; 2] = [Self::Done, Self::PowerCut];

    /// The value that the guest writes to [`EXIT_PORT`].
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::Done => 0x2a,
            Self::PowerCut => 0x2b,
        }
    }

    /// The end that QEMU's exit status stands for; a guest that crashes ends QEMU with 0.
    #[must_use]
    pub fn of_status(status: i32) -> Option<Self> {
        let made_by = |end: &Self| status == i32::from(end.value()) << 1 | 1;
        Self::ALL.into_iter().find(made_by)
    }
}

/// An event in a guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The guest has booted.
    Booted {
        /// The release of its kernel.
        release: String,
    },
    /// The statistics of the verifier and the JIT for a program.
    Verified {
        /// The name of the program in the ledger.
        program: String,
        /// Its statistics.
        #[serde(flatten)]
        verified: Verified,
    },
    /// A scenario begins.
    Began {
        /// The scenario.
        scenario: Scenario,
    },
    /// A scenario has ended.
    Ended {
        /// The scenario.
        scenario: Scenario,
        /// Its outcome.
        outcome: Outcome,
        /// Its duration in seconds.
        seconds: f64,
    },
}

/// The statistics of the verifier and the JIT for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The number of instructions that the verifier processed, on all paths; it gives up after a
    /// million.
    pub instructions: u64,
    /// The maximum number of states that the verifier kept at a time.
    pub peak_states: u64,
    /// The size of the machine code in bytes.
    pub jited_bytes: u64,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was as expected.
    Passed,
    /// Passed on a kernel without some features, which are listed.
    Lacking(String),
    /// Something was not as expected.
    Failed(String),
}

impl Event {
    /// The line of the event.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Strings, numbers and enums of them can always be written as JSON.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads a line; `None` if it is incomplete.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_the_status() {
        assert_eq!(End::of_status(0x55), Some(End::Done));
        assert_eq!(End::of_status(0x57), Some(End::PowerCut));
        assert_eq!(End::of_status(0), None);
    }

    #[test]
    fn events_are_read_back_from_their_lines() {
        let verified = Verified {
            instructions: 367_314,
            peak_states: 1_921,
            jited_bytes: 16_491,
        };
        let events = [
            Event::Booted {
                release: "6.1.0".into(),
            },
            Event::Verified {
                program: "egress".into(),
                verified,
            },
            Event::Began {
                scenario: Scenario::Load,
            },
            Event::Ended {
                scenario: Scenario::Load,
                outcome: Outcome::Failed("two\nlines".into()),
                seconds: 1.5,
            },
            Event::Ended {
                scenario: Scenario::Verdicts,
                outcome: Outcome::Passed,
                seconds: 0.0,
            },
        ];
        for event in events {
            let line = event.to_line();
            assert_eq!(line.find('\n'), Some(line.len() - 1));
            assert_eq!(Event::from_line(&line), Some(event));
        }
        assert_eq!(Event::from_line("{\"event\":\"boo"), None);
    }
}
