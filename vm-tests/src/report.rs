//! What a guest reports: one line of JSON for each event, on a serial port that nothing else
//! writes to, and at the end a status.

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
    /// The power goes, as a scenario wants it to.
    PowerCut,
}

impl End {
    const ALL: [Self; 2] = [Self::Done, Self::PowerCut];

    /// What the guest writes to [`EXIT_PORT`].
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::Done => 0x2a,
            Self::PowerCut => 0x2b,
        }
    }

    /// What QEMU's exit status says; a guest that dies ends QEMU with 0.
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
    /// The guest runs.
    Booted {
        /// The release of its kernel.
        release: String,
    },
    /// What the verifier and the JIT made of the program.
    Verified(Verified),
    /// A scenario begins.
    Began {
        /// Which.
        scenario: Scenario,
    },
    /// A scenario has ended.
    Ended {
        /// Which.
        scenario: Scenario,
        /// How.
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
    },
}

/// What the verifier and the JIT made of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The instructions that the verifier went through, each path counted; it gives up after a
    /// million.
    pub instructions: u64,
    /// The most states that the verifier kept at a time.
    pub peak_states: u64,
    /// The bytes of machine code.
    pub jited_bytes: u64,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was as it should be.
    Passed,
    /// Everything was as it should be on a kernel that lacks something, which is told.
    Lacking(String),
    /// Something was not.
    Failed(String),
}

impl Event {
    /// The line of the event.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Strings, numbers and enums of them: nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads a line; `None` when it is not whole.
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
            Event::Verified(verified),
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
