//! Why a checked rule file is refused. Everything wrong with it is printed by then.

use std::path::PathBuf;

use crate::{
    candidate::rule_tests::TestsError,
    error::{ExitStatus, UserError},
};

/// Why a checked rule file is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    /// It has errors.
    #[error("`{}` has {found}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// How many.
        found: String,
    },
    /// It has warnings, which are not allowed.
    #[error("`{}` has {found}", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// How many.
        found: String,
    },
    /// Its tests fail.
    #[error(transparent)]
    Tests(TestsError),
}

impl UserError for CheckError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Invalid { .. } => None,
            Self::Denied { .. } => Some("`--deny-warnings` treats them as errors".into()),
            Self::Tests(error) => error.help(),
        }
    }

    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Invalid { .. } | Self::Denied { .. } => ExitStatus::BadRules,
            Self::Tests(error) => error.exit_status(),
        }
    }
}
