//! A subject of measurements: a firewall that is set up, or why there is none.

use anyhow::Result;
use aya::programs::ProgramFd;
use serde::{Deserialize, Serialize};

use super::{loading::Loading, subject_kind::SubjectKind, testbed::Testbed, verdicts::Verdicts};

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
    /// It does not take part in this case.
    Absent(Absent),
}

/// Why a subject does not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The name of the subject.
    pub name: String,
    /// What kept it out.
    pub cause: Cause,
    /// Why, as a clause.
    pub reason: String,
}

/// What keeps a subject out of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It has no words for the rules, is not installed, or takes too long.
    Unable,
    /// It refuses the rules.
    Refused,
    /// It should take part, but its commands or the kernel failed.
    Failed,
}

impl Cause {
    /// What stands in its place in a table of figures.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unable => "",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Entry {
    /// A subject that cannot take part.
    #[must_use]
    pub fn unable(kind: SubjectKind, reason: impl Into<String>) -> Self {
        Self::absent(kind, Cause::Unable, reason)
    }

    /// No subject.
    #[must_use]
    pub fn absent(kind: SubjectKind, cause: Cause, reason: impl Into<String>) -> Self {
        Self::Absent(Absent {
            name: kind.name().to_owned(),
            cause,
            reason: reason.into(),
        })
    }
}
