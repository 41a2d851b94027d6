//! Where rules are written: in a file, or in a text given on stdin.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::{ExitStatus, UserError},
    rule_file::files::{self, Folder},
};

/// The most bytes of a rule file.
pub(super) const MAX_RULE_FILE: u64 = 64 << 20;

/// The name of stdin in messages, in place of a path.
const STDIN: &str = "<stdin>";

/// Stdin cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{STDIN}`")]
pub(crate) struct StdinError(#[source] io::Error);

impl UserError for StdinError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::BadRules
    }
}

/// Where rules are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleInput {
    /// In the file of this path.
    File(PathBuf),
    /// In a text that was read from stdin once.
    Text {
        /// The text.
        text: Arc<[u8]>,
        /// The folder in which its lists and captures are looked for.
        folder: PathBuf,
    },
    /// In a copy of such a text, which is not there for long.
    Copy {
        /// The copy.
        file: PathBuf,
        /// As in [`RuleInput::Text`].
        folder: PathBuf,
    },
}

impl RuleInput {
    /// What an argument of a command names: a file, or for `-` and `/dev/stdin` what stdin holds, with
    /// its lists in the current folder.
    ///
    /// # Errors
    ///
    /// When stdin cannot be read, or holds more than a rule file may.
    pub(crate) fn of_argument(argument: &Path) -> Result<Self, StdinError> {
        if !is_stdin(argument) {
            return Ok(Self::File(argument.to_owned()));
        }
        let folder = std::env::current_dir().map_err(StdinError)?;
        let mut text = Vec::new();
        let most = MAX_RULE_FILE + 1;
        io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut text)
            .map_err(StdinError)?;
        if text.len() as u64 == most {
            return Err(StdinError(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Self::Text {
            text: text.into(),
            folder,
        })
    }

    /// The path of the file, or what stands for it.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Text { .. } | Self::Copy { .. } => Path::new(STDIN),
        }
    }

    /// The folder of the lists of a text.
    pub(crate) fn folder_path(&self) -> Option<&Path> {
        match self {
            Self::File(_) => None,
            Self::Text { folder, .. } | Self::Copy { folder, .. } => Some(folder),
        }
    }

    /// The folder of its lists and captures.
    pub(super) fn folder(&self) -> Folder {
        match self {
            Self::File(path) => Folder::of(path),
            Self::Text { folder, .. } | Self::Copy { folder, .. } => Folder::at(folder),
        }
    }

    /// The text of the rules.
    pub(super) fn bytes(&self, limit: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::File(path) | Self::Copy { file: path, .. } => files::read(path, limit),
            Self::Text { text, .. } => Ok(text.to_vec()),
        }
    }

    /// The same once it was read as `text`: a copy need not stay.
    pub(super) fn once_read(&self, text: &[u8]) -> Self {
        match self {
            Self::File(_) | Self::Text { .. } => self.clone(),
            Self::Copy { folder, .. } => Self::Text {
                text: text.into(),
                folder: folder.clone(),
            },
        }
    }
}

/// Whether rules of this path were given on stdin.
pub(super) fn was_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// An argument of a command as messages show it.
pub(crate) fn shown(argument: &Path) -> &Path {
    if is_stdin(argument) {
        Path::new(STDIN)
    } else {
        argument
    }
}

/// Whether an argument of a command names stdin.
pub(crate) fn is_stdin(argument: &Path) -> bool {
    ["-", "/dev/stdin"]
        .iter()
        .any(|name| argument == Path::new(name))
}
