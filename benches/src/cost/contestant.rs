//! What takes part in a measurement.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use aya::programs::ProgramFd;
use serde::{Deserialize, Serialize};

use super::{arena::Arena, case::Case, contestants};
use crate::interrupt::Interrupt;

/// A firewall that is set up and judges the packets that reach the host of its arena. It is taken
/// down when the value is dropped.
pub trait Contestant {
    /// What it is, and at which hook.
    fn name(&self) -> &'static str;

    /// Its version, as it says itself.
    fn version(&self) -> &str;

    /// Where it stands.
    fn arena(&self) -> &Arena;

    /// What setting it up took.
    fn loading(&self) -> Loading;

    /// What it has counted since it was set up; `None` if it does not count.
    ///
    /// # Errors
    ///
    /// If it does not say.
    fn verdicts(&self) -> Result<Option<Verdicts>>;

    /// Its XDP program, if it is one.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    fn program(&self) -> Result<Option<ProgramFd>> {
        Ok(None)
    }
}

/// How many packets got which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Passed.
    pub passed: u64,
    /// Dropped.
    pub dropped: u64,
    /// Passed or dropped because no rule matched; counted above, too.
    pub unmatched: u64,
}

impl Verdicts {
    /// What was counted since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(earlier.passed),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            unmatched: self.unmatched.saturating_sub(earlier.unmatched),
        }
    }

    /// How many packets were judged.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.passed + self.dropped
    }
}

/// What setting a contestant up took.
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

/// What contestants need to be set up.
#[derive(Clone, Debug)]
pub struct Site {
    /// The `firewall` command.
    pub firewall: PathBuf,
    /// Whether the process was told to end.
    pub interrupt: Interrupt,
    /// How long setting one up may take.
    pub patience: Duration,
}

/// A contestant, or why there is none.
pub enum Entry {
    /// It is set up.
    Ready(Box<dyn Contestant>),
    /// It cannot take part in this case, or not on this machine.
    Absent(Absent),
}

/// Why a contestant does not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The name of the contestant.
    pub name: String,
    /// Why, as a clause.
    pub reason: String,
}

impl Entry {
    /// No contestant.
    #[must_use]
    pub fn absent(name: &str, reason: impl Into<String>) -> Self {
        Self::Absent(Absent {
            name: name.to_owned(),
            reason: reason.into(),
        })
    }
}

/// A kind of contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An empty XDP program that drops everything.
    Floor,
    /// An empty XDP program that passes everything.
    PassingFloor,
    /// The `firewall` command.
    Firewall,
    /// nftables at the ingress hook of the interface.
    NftNetdev,
    /// nftables at the prerouting hook.
    NftInet,
    /// iptables, table `raw`.
    Iptables,
    /// iptables, table `raw`, with sets of ipset.
    IpSet,
    /// xdp-filter of xdp-tools.
    XdpFilter,
}

impl Kind {
    /// Those that are compared on rule sets that drop every packet.
    pub const COMPARED: [Self; 7] = [
        Self::Floor,
        Self::Firewall,
        Self::XdpFilter,
        Self::NftNetdev,
        Self::NftInet,
        Self::Iptables,
        Self::IpSet,
    ];

    /// Those that show what `firewall` costs on rule sets that drop every packet.
    pub const DROPPING: [Self; 2] = [Self::Floor, Self::Firewall];

    /// Those that show what `firewall` costs on any rule file.
    pub const ALONE: [Self; 3] = [Self::Floor, Self::PassingFloor, Self::Firewall];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "empty XDP drop",
            Self::PassingFloor => "empty XDP pass",
            Self::Firewall => "firewall",
            Self::NftNetdev => "nftables netdev ingress",
            Self::NftInet => "nftables inet prerouting",
            Self::Iptables => "iptables raw",
            Self::IpSet => "iptables raw, ipset",
            Self::XdpFilter => "xdp-filter",
        }
    }

    /// Sets it up for a case.
    ///
    /// # Errors
    ///
    /// If it could take part but its commands or the kernel refuse.
    pub fn enter(self, case: &Case, site: &Site) -> Result<Entry> {
        match self {
            Self::Floor | Self::PassingFloor => contestants::floor::enter(self),
            Self::Firewall => contestants::firewall::enter(case, site),
            Self::NftNetdev | Self::NftInet => contestants::nftables::enter(self, case, site),
            Self::Iptables | Self::IpSet => contestants::iptables::enter(self, case, site),
            Self::XdpFilter => contestants::xdp_filter::enter(self, case, site),
        }
    }
}
