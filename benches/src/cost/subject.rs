//! A subject of measurements: a firewall that is set up, or the reason why there is none.

use anyhow::Result;
use aya::programs::ProgramFd;
use serde::{Deserialize, Serialize};

use super::{loading::Loading, subject_kind::SubjectKind, testbed::Testbed, verdicts::Verdicts};

/// A firewall that is set up and filters the packets that reach the host of its testbed. Dropping
/// the value removes it.
pub trait Subject {
    /// Its name, including its hook.
    fn name(&self) -> &'static str;

    /// Its version, as it reports it.
    fn version(&self) -> &str;

    /// Its testbed.
    fn testbed(&self) -> &Testbed;

    /// The cost of setting it up.
    fn loading(&self) -> Loading;

    /// Its counts since it was set up; `None` if it does not count.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
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

/// A subject, or the reason why there is none.
pub enum Entry {
    /// It is set up.
    Ready(Box<dyn Subject>),
    /// It does not take part in this case.
    Absent(Absent),
}

/// The reason why a subject does not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The name of the subject.
    pub name: String,
    /// The kind of reason.
    pub cause: Cause,
    /// The reason, as a clause.
    pub reason: String,
}

/// The kind of reason why a subject does not take part in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It cannot express the rules, is not installed, or takes too long.
    Unable,
    /// It refuses the rules.
    Refused,
    /// It should take part, but its commands or the kernel failed it.
    Failed,
}

impl Cause {
    /// The word in its place in a table of figures.
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

    /// The entry for an absent subject.
    #[must_use]
    pub fn absent(kind: SubjectKind, cause: Cause, reason: impl Into<String>) -> Self {
        Self::Absent(Absent {
            name: kind.name().to_owned(),
            cause,
            reason: reason.into(),
        })
    }
}
