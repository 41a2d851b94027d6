//! The exclusive right to be the daemon of an instance, and its address: a locked file and a
//! socket.
//!
//! The kernel drops the lock when its holder dies, however it dies, so that a stale socket or
//! stale pins never look like a daemon.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, RunFiles},
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
    /// Another process has the lock in the run folder.
    #[error("another process{} has the run folder", process(*.holder))]
    FolderBusy {
        /// The process, if it is known.
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
    pub(crate) fn new(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Whether it is a failed file operation, which may succeed later.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::File { .. } | Self::Pin(_) => true,
            Self::StateBusy { .. } | Self::FolderBusy { .. } | Self::Shared { .. } => false,
        }
    }
}

impl UserError for LockError {
    fn help(&self) -> Option<String> {
        match self {
            Self::File { .. } | Self::FolderBusy { .. } | Self::Pin(_) => None,
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
    /// The lock in the run folder; `None` as long as the folder cannot be used.
    file: Option<File>,
    /// Whether nothing is missing. Without that, another daemon may have the socket and the state.
    is_whole: bool,
    /// The socket, once this process listens at it.
    socket: Option<Identity>,
    /// The locks on the folders of the pins, which guard the state in the kernel. There are several while another
    /// BPF file system hides the first.
    state: Vec<File>,
    places: RunFiles,
    pins: Pins,
}

/// Which file is at a path: device and inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    /// The file at the path, if there is one.
    fn at(path: &Path) -> Option<Self> {
        let there = fs::symlink_metadata(path).ok()?;
        Some(Self(there.dev(), there.ino()))
    }
}

/// The outcome of an attempt to keep the lock on the folder of the pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateLock {
    /// This process has the lock on the folder that is there.
    Held,
    /// Another process has it: this one, if it is known.
    Busy(Option<u32>),
}

/// The outcome of an attempt to become the daemon.
pub(crate) enum Acquired {
    /// This process may be the daemon.
    Lock(Lock),
    /// Another process has the run folder.
    RunFolderBusy,
}

/// What a process that wants the right does about missing folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folders {
    /// Without a folder of pins there is no state that others could write.
    Found,
    /// The folder of the pins is made if it is not there.
    Made,
    /// Likewise, and a run folder that cannot be used is done without: the machine has its rules, and
    /// commands do not reach the daemon.
    PinsAlone,
}

impl Lock {
    /// Takes the right to be the daemon of the instance with these files and pins.
    ///
    /// # Errors
    ///
    /// When the run folder cannot be used, or a process with another run folder has the state.
    pub(crate) fn acquire(
        places: &RunFiles,
        pins: &Pins,
        folders: Folders,
    ) -> Result<Acquired, LockError> {
        let file = match lock_run_folder(places) {
            Ok(Some(file)) => Some(file),
            Ok(None) => return Ok(Acquired::RunFolderBusy),
            Err(LockError::File { .. }) if folders == Folders::PinsAlone => None,
            Err(error) => return Err(error),
        };
        // Dropped on an error, it removes what was made.
        let mut lock = Self {
            file,
            is_whole: false,
            socket: None,
            state: Vec::new(),
            places: places.clone(),
            pins: pins.clone(),
        };
        if folders != Folders::Found || pins.exist() {
            match lock.keep_state()? {
                StateLock::Held => {}
                StateLock::Busy(holder) => return Err(LockError::StateBusy { holder }),
            }
        }
        lock.is_whole = true;
        Ok(Acquired::Lock(lock))
    }

    /// Locks the folder of the pins if this process does not have the lock on the one that is at its path now, and
    /// makes it if there is none: it may have been removed, or another BPF file system mounted over it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or locked.
    pub(crate) fn keep_state(&mut self) -> Result<StateLock, PinError> {
        loop {
            if self.state.iter().any(|folder| self.pins.is_folder(folder)) {
                return Ok(StateLock::Held);
            }
            match self.pins.lock_folder()? {
                FolderLock::Taken(folder) => {
                    // A hidden folder still has the state for processes that see it; a removed one has nothing.
                    self.state
                        .retain(|folder| folder.metadata().is_ok_and(|of| of.nlink() > 0));
                    self.state.push(folder);
                }
                FolderLock::Busy(holder) => return Ok(StateLock::Busy(holder)),
                FolderLock::NoFolder => {
                    self.pins.create_folder()?;
                }
            }
        }
    }

    /// Records that this process listens at the socket.
    pub(crate) fn listens(&mut self) {
        self.socket = Identity::at(&self.places.socket);
    }

    /// Makes the lock in the run folder again, and the folder, if they were removed or could not be made before.
    ///
    /// # Errors
    ///
    /// When they cannot be made, or another process has the lock.
    pub(crate) fn keep_run_folder(&mut self) -> Result<(), LockError> {
        if self.has_run_folder() {
            return Ok(());
        }
        match lock_run_folder(&self.places)? {
            Some(file) => {
                self.file = Some(file);
                Ok(())
            }
            None => Err(LockError::FolderBusy {
                holder: holder(&self.places),
            }),
        }
    }

    fn has_run_folder(&self) -> bool {
        let file = self.file.as_ref();
        file.is_some_and(|file| pins::is_at(file, &self.places.lock))
    }

    /// Whether the socket that is there is that of this process.
    pub(crate) fn has_own_socket(&self) -> bool {
        self.socket.is_some() && self.socket == Identity::at(&self.places.socket)
    }
}

/// Whether a folder is one that this program made, perhaps with a way for readers.
fn is_made(folder: &Metadata) -> bool {
    const ALL_BUT_GROUP: u32 = 0o7707;
    folder.mode() & ALL_BUT_GROUP == MADE
}

/// Lets the members of a group through a folder that this program made, to the socket. One that somebody else made
/// stays as it is.
fn let_through(folder: &Path, readers: u32) {
    let changed = fs::metadata(folder).and_then(|found| {
        if !is_made(&found) {
            return Ok(());
        }
        if found.gid() != readers {
            std::os::unix::fs::chown(folder, None, Some(readers))?;
        }
        fs::set_permissions(folder, Permissions::from_mode(MADE | 0o010))
    });
    if let Err(error) = changed {
        tracing::warn!(
            event = "readers_shut_out",
            %error,
            "members of the group {readers} do not reach the socket in `{}`: {error}",
            folder.display()
        );
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
    if let Some(readers) = places.readers {
        let_through(&places.folder, readers);
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
    ///
    /// A file that another process put in the place of one of these stays.
    fn drop(&mut self) {
        let is_locked = self.has_run_folder();
        // A process that does not listen removes the socket of one that was killed.
        let is_stale = self.is_whole && is_locked && self.socket.is_none();
        if is_stale || self.has_own_socket() {
            let _ = fs::remove_file(&self.places.socket);
        }
        if is_locked {
            let _ = fs::remove_file(&self.places.lock);
        }
        if self.state.iter().any(|folder| self.pins.is_folder(folder)) {
            let _ = self.pins.remove_folder();
        }
        let folder = fs::metadata(&self.places.folder);
        if folder.is_ok_and(|folder| is_made(&folder)) {
            let _ = fs::remove_dir(&self.places.folder);
        }
    }
}

/// The process that has the right, according to its file.
pub(crate) fn holder(places: &RunFiles) -> Option<u32> {
    fs::read_to_string(&places.lock).ok()?.trim().parse().ok()
}

/// Whether a process has the right: the lock in the run folder or the one on the folder of the pins is taken.
pub(crate) fn is_held(config: &Config) -> bool {
    let file = File::open(&config.run.lock);
    let is_taken = file.is_ok_and(|file| pins::is_locked(&file));
    is_taken || config.pins.are_locked()
}

/// The process that holds a lock, as it follows what it is called in a message; nothing if it is not known.
pub(crate) fn process(holder: Option<u32>) -> String {
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
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
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

    #[test]
    fn files_of_other_processes_stay() {
        let base = tempfile::tempdir().unwrap();
        let places = RunFiles::new(&base.path().join("run"), "default");
        let bpffs = base.path().join("bpf");
        let listen = |bpffs: &Path| {
            let Acquired::Lock(mut lock) = acquire(&places, bpffs, true).unwrap() else {
                panic!("it is taken");
            };
            let _ = fs::remove_file(&places.socket);
            let socket = std::os::unix::net::UnixListener::bind(&places.socket).unwrap();
            lock.listens();
            (lock, socket)
        };
        let mut first = listen(&bpffs);
        // A refused process leaves the socket of the first.
        fs::remove_file(&places.lock).unwrap();
        let refused = acquire(&places, &bpffs, true);
        assert!(matches!(refused, Err(LockError::StateBusy { .. })));
        assert!(places.socket.exists());
        // A second daemon with other pins is reachable after the end of the first.
        let second = listen(&base.path().join("other"));
        assert!(!first.0.has_own_socket());
        let refused = first.0.keep_run_folder();
        assert!(matches!(refused, Err(LockError::FolderBusy { .. })));
        drop(first);
        assert!(second.0.has_own_socket());
        drop(second);
        assert!(!places.folder.exists());
    }

    #[test]
    fn a_run_folder_that_was_removed_is_made_again() {
        let base = tempfile::tempdir().unwrap();
        let places = RunFiles::new(&base.path().join("run"), "default");
        let bpffs = base.path().join("bpf");
        let Acquired::Lock(mut lock) = acquire(&places, &bpffs, true).unwrap() else {
            panic!("it is taken");
        };
        fs::remove_dir_all(&places.folder).unwrap();
        lock.keep_run_folder().unwrap();
        let other = acquire(&places, &bpffs, true).unwrap();
        assert!(matches!(other, Acquired::RunFolderBusy));
        drop(lock);
        assert!(!places.folder.exists());
    }

    #[test]
    fn where_the_run_folder_cannot_be_used_the_pins_may_do() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let places = RunFiles::new(&base.path().join("file/run"), "default");
        let pins = Pins::new(&base.path().join("bpf"), "default");
        let refused = Lock::acquire(&places, &pins, Folders::Made);
        assert!(matches!(refused, Err(LockError::File { .. })));
        let Ok(Acquired::Lock(mut lock)) = Lock::acquire(&places, &pins, Folders::PinsAlone) else {
            panic!("the folder is not done without");
        };
        assert!(matches!(
            lock.keep_run_folder(),
            Err(LockError::File { .. })
        ));
        let second = Lock::acquire(&places, &pins, Folders::PinsAlone);
        assert!(matches!(second, Err(LockError::StateBusy { .. })));
        fs::remove_file(base.path().join("file")).unwrap();
        lock.keep_run_folder().unwrap();
        assert_eq!(holder(&places), Some(std::process::id()));
    }

    #[test]
    fn a_folder_that_is_made_again_is_locked_again() {
        let base = tempfile::tempdir().unwrap();
        let bpffs = base.path().join("bpf");
        let run = |name: &str| RunFiles::new(&base.path().join(name), "default");
        let Acquired::Lock(mut first) = acquire(&run("one"), &bpffs, true).unwrap() else {
            panic!("it is taken");
        };
        fs::remove_dir_all(bpffs.join("firewall")).unwrap();
        assert_eq!(first.keep_state().unwrap(), StateLock::Held);
        let second = acquire(&run("two"), &bpffs, true);
        assert!(matches!(second, Err(LockError::StateBusy { .. })));
        // Here another process is the first to make the folder again.
        fs::remove_dir_all(bpffs.join("firewall")).unwrap();
        let _second = acquire(&run("two"), &bpffs, true).unwrap();
        let busy = StateLock::Busy(Some(std::process::id()));
        assert_eq!(first.keep_state().unwrap(), busy);
        drop(first);
        assert!(bpffs.join("firewall/default").exists());
    }

    fn acquire(places: &RunFiles, bpffs: &Path, make: bool) -> Result<Acquired, LockError> {
        let folders = if make { Folders::Made } else { Folders::Found };
        Lock::acquire(places, &Pins::new(bpffs, "default"), folders)
    }
}
