//! The exclusive right to be the daemon of an instance, and its address: a locked file and a
//! socket.
//!
//! The kernel drops the lock when its holder dies, however it dies, so that a stale socket or
//! stale pins never look like a daemon.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{
    config::RunFiles,
    error::UserError,
    kernel::pins::{self, FolderLock, PinError, Pins},
};

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
    /// A daemon with another run folder, or in another container, holds the pins.
    #[error("another daemon{} has what this instance has loaded", process(*.holder))]
    StateBusy {
        /// Its process, if it is one of this PID namespace.
        holder: Option<u32>,
    },
    /// The folder of the pins.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// Other users could replace our files.
    #[error("`{}` is not for root alone: user {owner} has it, with mode {mode:04o}", path.display())]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its owner.
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
            Self::File { .. } | Self::Pin(_) => None,
            Self::StateBusy { .. } => Some(
                "it has another run folder: use the same `--run-dir` and network namespace, or name another \
                 instance with `--instance`"
                    .into(),
            ),
            Self::Shared { path, .. } => Some(format!(
                "`chown root {0} && chmod go-w {0}`, or name another folder with `--run-dir`",
                path.display()
            )),
        }
    }
}

/// The mode of a run folder that this program made: for its owner alone, and the sticky bit, which changes nothing
/// there, to tell it from one that somebody else made and that stays. The folder has it from the moment that it
/// exists, so that the death of a process loses nothing.
const MADE: u32 = 0o1700;

/// The right to be the daemon, released when dropped.
pub(crate) struct Lock {
    file: File,
    /// The lock on the folder of the pins, which guards the state in the kernel.
    state: Option<File>,
    places: RunFiles,
    pins: Pins,
}

/// The outcome of an attempt to become the daemon.
pub(crate) enum Acquired {
    /// This process may be the daemon.
    Lock(Lock),
    /// Another process has the run folder.
    RunFolderBusy,
}

impl Lock {
    /// Takes the right to be the daemon of the instance with these files and pins. With `make_folder` the folder
    /// of the pins is made if it is not there: without one there is no state that others could write.
    ///
    /// # Errors
    ///
    /// When the run folder cannot be used, or a process with another run folder has the state.
    pub(crate) fn acquire(
        places: &RunFiles,
        pins: &Pins,
        make_folder: bool,
    ) -> Result<Acquired, LockError> {
        let Some(file) = lock_run_folder(places)? else {
            return Ok(Acquired::RunFolderBusy);
        };
        // Dropped on an error, it removes what was made.
        let mut lock = Self {
            file,
            state: None,
            places: places.clone(),
            pins: pins.clone(),
        };
        loop {
            match pins.lock_folder()? {
                FolderLock::Taken(folder) => {
                    lock.state = Some(folder);
                    return Ok(Acquired::Lock(lock));
                }
                FolderLock::Busy(holder) => return Err(LockError::StateBusy { holder }),
                FolderLock::NoFolder if make_folder => {
                    pins.create_folder()?;
                }
                FolderLock::NoFolder => return Ok(Acquired::Lock(lock)),
            }
        }
    }

    /// Whether the run folder still has the lock and the socket; without them commands do not reach the daemon.
    pub(crate) fn is_reachable(&self) -> bool {
        pins::is_at(&self.file, &self.places.lock) && self.places.socket.exists()
    }
}

/// Takes the lock in the run folder; `None` when another process has it.
fn lock_run_folder(places: &RunFiles) -> Result<Option<File>, LockError> {
    let mut builder = DirBuilder::new();
    if let Some(parent) = places.folder.parent() {
        let made = builder.mode(0o700).recursive(true).create(parent);
        made.map_err(LockError::new(parent))?;
    }
    match builder.mode(MADE).recursive(false).create(&places.folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LockError::new(&places.folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
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
        // The previous holder may have removed the file since it was opened.
        if !pins::is_at(&file, &places.lock) {
            continue;
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed())?;
        return Ok(Some(file));
    }
}

impl Drop for Lock {
    /// Gives the right up and removes the files of the instance, and the folder when a process of
    /// this program made it and no other instance is in it. Files that cannot be removed are
    /// harmless: they are not locked.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.places.socket);
        let _ = fs::remove_file(&self.places.lock);
        let _ = self.pins.remove_folder();
        let folder = fs::metadata(&self.places.folder);
        if folder.is_ok_and(|folder| folder.mode() & 0o7777 == MADE) {
            let _ = fs::remove_dir(&self.places.folder);
        }
    }
}

/// The process that has the right, according to its file.
pub(crate) fn holder(places: &RunFiles) -> Option<u32> {
    fs::read_to_string(&places.lock).ok()?.trim().parse().ok()
}

fn process(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |holder| format!(" (process {holder})"))
}

/// Checks that no other user can write to the folder.
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
            acquire(&places, &folder.join("pins"), false).map(std::mem::forget)
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
        let bpffs = base.path().join("bpf");
        let lock = acquire(&places, &bpffs, false).unwrap();
        assert!(matches!(lock, Acquired::Lock(_)));
        assert_eq!(holder(&places), Some(std::process::id()));
        let other = acquire(&places, &bpffs, false).unwrap();
        assert!(matches!(other, Acquired::RunFolderBusy));
        drop(lock);
        assert!(!folder.exists());
        let lock = acquire(&places, &bpffs, false).unwrap();
        assert!(matches!(lock, Acquired::Lock(_)));
    }

    #[test]
    fn one_process_writes_what_is_pinned_whatever_its_run_folder() {
        let base = tempfile::tempdir().unwrap();
        let bpffs = base.path().join("bpf");
        let run = |name: &str| RunFiles::new(&base.path().join(name), "default");
        let first = acquire(&run("one"), &bpffs, true).unwrap();
        let Err(refused) = acquire(&run("two"), &bpffs, true) else {
            panic!("there are two");
        };
        let LockError::StateBusy { holder } = refused else {
            panic!("{refused}");
        };
        assert_eq!(holder, Some(std::process::id()));
        // The refused one leaves no files.
        assert!(!base.path().join("two").exists());
        drop(first);
        assert!(!bpffs.join("firewall").exists());
        acquire(&run("two"), &bpffs, true).unwrap();
    }

    #[test]
    fn a_run_folder_of_another_user_stays() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        fs::create_dir(&folder).unwrap();
        let places = RunFiles::new(&folder, "default");
        drop(acquire(&places, &base.path().join("bpf"), false).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    fn acquire(places: &RunFiles, bpffs: &Path, make: bool) -> Result<Acquired, LockError> {
        Lock::acquire(places, &Pins::new(bpffs, "default"), make)
    }
}
