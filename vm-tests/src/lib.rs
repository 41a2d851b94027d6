//! The firewall on several kernels, each in a virtual machine of its own.
//!
//! - `vm-tests` (`main.rs`) runs on the host: it fetches kernels, packs a guest, boots it, and
//!   prints a table;
//! - `vm-guest` is the only program in a guest, and its process 1: it runs the [`scenarios`] with
//!   the `firewall` command and reports in [`report`] lines.
//!
//! This library contains everything on which the two must agree.

pub mod report;
pub mod scenarios;
pub mod wire;

/// The argument of a process 1 that sends packets for another machine instead of running scenarios.
pub const PEER: &str = "peer";

/// The lists of kernel modules in a guest, each in load order: those that it loads when it starts, and
/// those of devices that carry packets inside others.
pub const MODULES: &str = "/modules/at-start";
/// See [`MODULES`].
pub const TUNNEL_MODULES: &str = "/modules/tunnels";

/// A deliberate failure of a guest, to test that it is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its kernel panics.
    Panic,
    /// It hangs.
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
