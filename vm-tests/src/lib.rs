//! The firewall on several kernels, each in a virtual machine of its own.
//!
//! - `vm-tests` (`main.rs`) runs on the host: it fetches kernels, packs a guest, boots it, and
//!   prints a table;
//! - `vm-guest` is the only program in a guest, and its process 1: it runs the [`scenarios`] with
//!   the `firewall` command and reports in [`report`] lines.
//!
//! This library is what the two must agree on.

pub mod report;
pub mod scenarios;
pub mod wire;

/// The argument of the process 1 that sends what another machine asks for, and runs no scenario.
pub const PEER: &str = "peer";

/// How a guest fails on purpose, to see that it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its kernel panics.
    Panic,
    /// It does nothing any more.
    Hang,
}

impl Failure {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Panic, Self::Hang];

    /// The argument of its process 1.
    #[must_use]
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Panic => "panics",
            Self::Hang => "hangs",
        }
    }
}
