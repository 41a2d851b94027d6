//! What setting a subject up takes.

use serde::{Deserialize, Serialize};

/// What setting a subject up took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loading {
    /// How long it took, from the start of the first command to rules in force.
    pub seconds: f64,
    /// The CPU time of its processes until then, in the kernel and outside, in seconds.
    pub cpu_seconds: f64,
    /// By how much it made the memory of the kernel grow, in bytes; a machine that does other
    /// things meanwhile blurs it by a few hundred kilobytes.
    pub kernel_bytes: u64,
    /// What it says itself, if it is `firewall`.
    pub image: Option<ImageFacts>,
}

impl Loading {
    /// The memory that it takes: that of its maps if it names them, else what the kernel's memory
    /// grew by.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.image
            .map_or(self.kernel_bytes, |image| image.map_bytes)
    }
}

/// What `firewall` says of the rules in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The bytes of the image.
    pub bytes: u64,
    /// The bytes of memory of all its maps.
    pub map_bytes: u64,
    /// How long the compiler took.
    pub compile_seconds: f64,
    /// What `firewall check --plan` expects a packet to cost, in nanoseconds.
    pub expected_nanoseconds: u32,
}
