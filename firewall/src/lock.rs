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

/// The files of an instance in the run folder.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    folder: PathBuf,
    lock: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
}

impl Places {
    /// The files of `instance` in `folder`.
    pub(crate) fn new(folder: &Path, instance: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            lock: folder.join(format!("{instance}.lock")),
            socket: folder.join(format!("{instance}.sock")),
        }
    }
}

/// A file operation in the run folder failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{}`", path.display())]
pub(crate) struct LockError {
    path: PathBuf,
    source: io::Error,
}

impl LockError {
    fn new(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// The right to be the daemon, given up when dropped.
pub(crate) struct Lock {
    _file: File,
    places: Places,
}

impl Lock {
    /// Takes the right; `None` when another process has it.
    pub(crate) fn acquire(places: &Places) -> Result<Option<Self>, LockError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&places.folder)
            .map_err(LockError::new(&places.folder))?;
        let failed = || LockError::new(&places.lock);
        loop {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
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
pub(crate) fn holder(places: &Places) -> Option<u32> {
    fs::read_to_string(&places.lock).ok()?.trim().parse().ok()
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder_at_a_time_and_nothing_is_left() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        let places = Places::new(&folder, "default");
        let lock = Lock::acquire(&places).unwrap().unwrap();
        assert_eq!(holder(&places), Some(std::process::id()));
        assert!(Lock::acquire(&places).unwrap().is_none());
        drop(lock);
        assert!(!folder.exists());
        assert!(Lock::acquire(&places).unwrap().is_some());
    }
}
