//! The right to be the daemon of an instance, and where it is reached: a locked file and a socket.
//!
//! The kernel drops the lock when its holder dies, however it dies, so that a stale socket or
//! stale pins never look like a daemon.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{config::RunFiles, error::UserError};

/// Why the run folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// A file operation in it failed.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could put their files in the place of ours.
    #[error("`{}` is not for root alone: user {owner} has it, with mode {mode:04o}", path.display())]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
}

impl LockError {
    fn new(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl UserError for LockError {
    fn help(&self) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Shared { path, .. } => Some(format!(
                "`chown root {0} && chmod go-w {0}`, or name another folder with `--run-dir`",
                path.display()
            )),
        }
    }
}

/// The right to be the daemon, given up when dropped.
pub(crate) struct Lock {
    _file: File,
    places: RunFiles,
}

impl Lock {
    /// Takes the right; `None` when another process has it.
    pub(crate) fn acquire(places: &RunFiles) -> Result<Option<Self>, LockError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&places.folder)
            .map_err(LockError::new(&places.folder))?;
        require_unshared(&places.folder)?;
        let failed = || LockError::new(&places.lock);
        loop {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&places.lock)
                .map_err(failed())?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed()(error)),
            }
            // The holder before may have removed the file since it was opened.
            if !is_at(&file, &places.lock) {
                continue;
            }
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .map_err(failed())?;
            return Ok(Some(Self {
                _file: file,
                places: places.clone(),
            }));
        }
    }
}

impl Drop for Lock {
    /// Gives the right up and removes the files of the instance, and the folder when it was the
    /// last. What cannot be removed misleads nobody: it is not locked.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.places.socket);
        let _ = fs::remove_file(&self.places.lock);
        let _ = fs::remove_dir(&self.places.folder);
    }
}

/// The process that has the right, as far as its file tells.
pub(crate) fn holder(places: &RunFiles) -> Option<u32> {
    fs::read_to_string(&places.lock).ok()?.trim().parse().ok()
}

/// Checks that nobody else can write to the folder.
fn require_unshared(folder: &Path) -> Result<(), LockError> {
    let found = fs::metadata(folder).map_err(LockError::new(folder))?;
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let is_ours = owner == 0 || owner == nix::unistd::geteuid().as_raw();
    if is_ours && mode & 0o022 == 0 {
        return Ok(());
    }
    Err(LockError::Shared {
        path: folder.to_owned(),
        owner,
        mode,
    })
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        fs::create_dir(&folder).unwrap();
        let places = RunFiles::new(&folder, "default");
        let acquire = |mode| {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            Lock::acquire(&places).map(|lock| std::mem::forget(lock.unwrap()))
        };
        for mode in [0o777, 0o720, 0o1777] {
            let error = acquire(mode).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{mode:04o}")),
                "{error}"
            );
            assert!(error.help().unwrap().contains("chmod go-w"));
        }
        acquire(0o755).unwrap();
    }

    #[test]
    fn there_is_one_holder_at_a_time_and_nothing_is_left() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        let places = RunFiles::new(&folder, "default");
        let lock = Lock::acquire(&places).unwrap().unwrap();
        assert_eq!(holder(&places), Some(std::process::id()));
        assert!(Lock::acquire(&places).unwrap().is_none());
        drop(lock);
        assert!(!folder.exists());
        assert!(Lock::acquire(&places).unwrap().is_some());
    }
}
