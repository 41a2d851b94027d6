//! A subject of measurements: a firewall that is set up, or why there is none.

use anyhow::Result;
use aya::programs::ProgramFd;
use serde::{Deserialize, Serialize};

use super::{loading::Loading, testbed::Testbed, verdicts::Verdicts};

/// A firewall that is set up and judges the packets that reach the host of its testbed. It is taken
/// down when the value is dropped.
pub trait Subject {
    /// What it is, and at which hook.
    fn name(&self) -> &'static str;

    /// Its version, as it says itself.
    fn version(&self) -> &str;

    /// Where it stands.
    fn testbed(&self) -> &Testbed;

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

/// A subject, or why there is none.
pub enum Entry {
    /// It is set up.
    Ready(Box<dyn Subject>),
    /// It cannot take part in this case, or not on this machine.
    Absent(Absent),
}

/// Why a subject does not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The name of the subject.
    pub name: String,
    /// Why, as a clause.
    pub reason: String,
}

impl Entry {
    /// No subject.
    #[must_use]
    pub fn absent(name: &str, reason: impl Into<String>) -> Self {
        Self::Absent(Absent {
            name: name.to_owned(),
            reason: reason.into(),
        })
    }
}
