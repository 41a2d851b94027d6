//! The exit statuses of all commands, in one table; `docs/exit-status.md` shows it to users.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// How a command ended, as its exit status says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It did what it was asked to do.
    Done,
    /// It was refused, or failed. For `diff` the verdicts differ; for `doctor` there are warnings.
    #[default]
    Refused,
    /// The command line is wrong.
    Usage,
    /// The rules cannot be used: their file, a list that it names, or their tests.
    BadRules,
    /// With `--detailed`: what was asked for was so already.
    Unchanged,
    /// `diff` could not decide whether the verdicts are the same.
    Undecided,
    /// `doctor` found what keeps the interface from being filtered, or no such interface.
    Unfit,
    /// The machine lacks something that it may have later: space, memory, descriptors, a file system to write to.
    Lacking,
}

impl ExitStatus {
    /// Whether it is the status of whatever has none of its own.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The number. 2 is what clap uses, too.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::BadRules => 3,
            Self::Unchanged => 4,
            Self::Undecided => 5,
            Self::Unfit => 6,
            Self::Lacking => 7,
        }
    }
}

impl ExitStatus {
    /// The status with this number; [`ExitStatus::Refused`] for all others.
    pub(crate) fn of_code(code: i32) -> Self {
        const ALL: [ExitStatus; 6] = [
            ExitStatus::Done,
            ExitStatus::Usage,
            ExitStatus::BadRules,
            ExitStatus::Undecided,
            ExitStatus::Unfit,
            ExitStatus::Lacking,
        ];
        let mut all = ALL.into_iter();
        all.find(|status| i32::from(status.number()) == code)
            .unwrap_or(Self::Refused)
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.number())
    }
}
