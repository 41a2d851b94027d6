//! The cost of setting up a subject.

use serde::{Deserialize, Serialize};

/// The cost of setting up a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loading {
    /// The time in seconds from the start of the first command until rules were in force.
    pub seconds: f64,
    /// The CPU time of its processes until then, kernel and user mode, in seconds.
    pub cpu_seconds: f64,
    /// The growth of the kernel's memory in bytes; other work of the machine distorts it by a few
    /// hundred kilobytes.
    pub kernel_bytes: u64,
    /// The figures that `firewall` reports, if it is the subject.
    pub image: Option<ImageFacts>,
}

impl Loading {
    /// The memory that it needs: that of its maps if known, otherwise the growth of the kernel's
    /// memory.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.image
            .map_or(self.kernel_bytes, |image| image.map_bytes)
    }
}

/// The figures that `firewall` reports about the rules in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The bytes of the image.
    pub bytes: u64,
    /// The memory of all its maps, in bytes.
    pub map_bytes: u64,
    /// The time of the compiler, in seconds.
    pub compile_seconds: f64,
    /// The cost of a packet that `firewall check --plan` expects, in nanoseconds.
    pub expected_nanoseconds: u32,
}
