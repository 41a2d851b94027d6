//! Copies of the last good rule file and of the files that it names, to start from when these cannot be used.
//!
//! The folder of an instance has the contents of files under their SHA-256, each once, and lists of files: those of
//! the rules in force (`good.json`), of the rules before (`previous.json`), and of rules that wait for their
//! confirmation (`waiting.json`). A list is written once all that it names is on the disk, and replaced in one step:
//! a crash leaves the old one or the new one.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::{
    rule_file::{
        contents::{Contents, FileRead, Files, Lease, Leases, digest},
        load::RuleFile,
        shrink::Sizes,
    },
    text::format::utc,
};

/// The largest size of all files of a rule set that are kept.
const MAX_BYTES: u64 = 256 << 20;

/// The largest size of a list of files.
const MAX_MANIFEST: u64 = 16 << 20;

/// The version of the form of lists of files.
const VERSION: u32 = 1;

/// The folder of the contents.
const CONTENTS: &str = "files";

/// Why files were not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// An operation on a file failed.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Other users could change what is started from.
    #[error("`{}` is not for root alone: user {owner} has it, with mode {mode:04o}", path.display())]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// Another daemon keeps its files there.
    #[error("another daemon keeps its files in `{}`", .0.display())]
    Busy(PathBuf),
    /// The files are too large.
    #[error("the rule file and its lists have more than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// The contents of a file are neither held nor kept.
    #[error("the contents of `{0}` are gone")]
    Gone(String),
}

/// The list of the files of a rule set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// When it was written: RFC 3339, in UTC.
    pub(crate) kept_at: String,
    /// The rule file.
    pub(crate) file: PathBuf,
    sizes: Sizes,
    /// The rule file, with an empty name, and the files that it names.
    files: Vec<KeptFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptFile {
    name: String,
    sha256: String,
}

impl Manifest {
    /// The list of the files that a rule file was read from.
    pub(crate) fn of(file: &RuleFile, files: &[FileRead]) -> Self {
        let files = files.iter().map(|file| KeptFile {
            name: file.name.clone(),
            sha256: file.sha256.clone(),
        });
        Self {
            version: VERSION,
            kept_at: utc(SystemTime::now()),
            file: file.input.path().to_owned(),
            sizes: Sizes::of(file),
            files: files.collect(),
        }
    }

    /// The sizes of the rule file and its lists.
    pub(crate) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    fn is_same(&self, other: &Self) -> bool {
        self.file == other.file && self.files == other.files
    }

    fn rules(&self) -> Option<&str> {
        let mut files = self.files.iter();
        let rules = files.find(|file| file.name.is_empty())?;
        Some(&rules.sha256)
    }
}

/// Which list of files.
#[derive(Clone, Copy)]
enum Role {
    Good,
    Previous,
    Waiting,
}

impl Role {
    const ALL: [Self; 3] = [Self::Good, Self::Previous, Self::Waiting];

    const fn file(self) -> &'static str {
        match self {
            Self::Good => "good.json",
            Self::Previous => "previous.json",
            Self::Waiting => "waiting.json",
        }
    }
}

/// The copies of an instance, which only this process changes.
pub(crate) struct Store {
    folder: PathBuf,
    /// The copies of contents. None is removed while its lease is held: rules that were read from it may be kept
    /// after others that do without it.
    copies: Mutex<Leases>,
    _lock: File,
}

impl Store {
    /// Opens the folder of an instance, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be used, other users can write to it, or another process has it.
    pub(crate) fn open(folder: &Path) -> Result<Self, KeepError> {
        let failed = |source| KeepError::File {
            path: folder.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true);
        builder.create(folder.join(CONTENTS)).map_err(failed)?;
        for path in [folder.parent(), Some(folder)].into_iter().flatten() {
            require_unshared(path)?;
        }
        let lock = File::open(folder).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                copies: Mutex::new(found_in(&folder.join(CONTENTS))),
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(KeepError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The copies that there are.
    pub(crate) fn leases(&self) -> Leases {
        self.copies().clone()
    }

    /// The last good rules.
    pub(crate) fn good(&self) -> Option<Manifest> {
        self.manifest(Role::Good)
    }

    /// Keeps the files of rules that are in force, which may wait for their confirmation.
    ///
    /// # Errors
    ///
    /// When they cannot be written, or are too large.
    pub(crate) fn keep(
        &self,
        manifest: &Manifest,
        files: &[FileRead],
        is_waiting: bool,
    ) -> Result<(), KeepError> {
        self.write_contents(files)?;
        if is_waiting {
            self.write_manifest(Role::Waiting, manifest)?;
        } else {
            self.make_good(manifest)?;
            self.remove(Role::Waiting)?;
        }
        self.prune()
    }

    /// The rules that waited for it are confirmed.
    ///
    /// # Errors
    ///
    /// When the lists of files cannot be written.
    pub(crate) fn confirm(&self) -> Result<(), KeepError> {
        let Some(waiting) = self.manifest(Role::Waiting) else {
            return Ok(());
        };
        self.make_good(&waiting)?;
        self.remove(Role::Waiting)?;
        self.prune()
    }

    /// Rules of an earlier generation are in force again: those of the rule file with this SHA-256.
    ///
    /// # Errors
    ///
    /// When the lists of files cannot be written.
    pub(crate) fn return_to(&self, sha256: &str) -> Result<(), KeepError> {
        let has_rules = |manifest: &Option<Manifest>| {
            manifest.as_ref().and_then(Manifest::rules) == Some(sha256)
        };
        if has_rules(&self.manifest(Role::Waiting)) {
            return Ok(());
        }
        self.remove(Role::Waiting)?;
        let previous = self.manifest(Role::Previous);
        if !has_rules(&self.manifest(Role::Good)) && has_rules(&previous) {
            // The previous one is now the good one.
            if let Some(previous) = previous {
                self.make_good(&previous)?;
            }
        }
        self.prune()
    }

    /// Writes the list of the good rules; the one before becomes the previous one.
    fn make_good(&self, manifest: &Manifest) -> Result<(), KeepError> {
        match self.manifest(Role::Good) {
            Some(good) if good.is_same(manifest) => return Ok(()),
            Some(good) => self.write_manifest(Role::Previous, &good)?,
            None => {}
        }
        self.write_manifest(Role::Good, manifest)
    }

    fn write_contents(&self, files: &[FileRead]) -> Result<(), KeepError> {
        let mut left = MAX_BYTES;
        for file in files {
            let length = match &file.contents {
                Contents::Held(bytes) => bytes.len() as u64,
                Contents::Copied { .. } => match fs::metadata(self.contents(&file.sha256)) {
                    Ok(copy) => copy.len(),
                    Err(_) => return Err(KeepError::Gone(file.name.clone())),
                },
            };
            left = left.checked_sub(length).ok_or(KeepError::TooLarge)?;
        }
        for file in files {
            let path = self.contents(&file.sha256);
            if let Contents::Held(bytes) = &file.contents
                && !path.exists()
            {
                write(&path, bytes)?;
            }
        }
        sync(&self.folder.join(CONTENTS))?;
        let mut copies = self.copies();
        for file in files {
            copies.entry(file.sha256.clone()).or_default();
        }
        Ok(())
    }

    fn write_manifest(&self, role: Role, manifest: &Manifest) -> Result<(), KeepError> {
        let path = self.folder.join(role.file());
        let json = serde_json::to_vec(manifest).map_err(|error| KeepError::File {
            path: path.clone(),
            source: error.into(),
        })?;
        write(&path, &json)?;
        sync(&self.folder)
    }

    fn manifest(&self, role: Role) -> Option<Manifest> {
        let file = File::open(self.folder.join(role.file())).ok()?;
        let mut json = Vec::new();
        file.take(MAX_MANIFEST).read_to_end(&mut json).ok()?;
        let manifest: Manifest = serde_json::from_slice(&json).ok()?;
        (manifest.version == VERSION).then_some(manifest)
    }

    fn remove(&self, role: Role) -> Result<(), KeepError> {
        remove(&self.folder.join(role.file()))
    }

    /// Removes the contents that no list names and nobody holds, and files that a crash left.
    fn prune(&self) -> Result<(), KeepError> {
        let manifests = Role::ALL.into_iter().filter_map(|role| self.manifest(role));
        let files = manifests.flat_map(|manifest| manifest.files);
        let named: BTreeSet<String> = files.map(|file| file.sha256).collect();
        let stay: BTreeSet<String> = {
            let mut copies = self.copies();
            copies.retain(|sha256, lease| named.contains(sha256) || lease.is_shared());
            copies.keys().cloned().collect()
        };
        let folder = self.folder.join(CONTENTS);
        let entries = fs::read_dir(&folder).map_err(|source| KeepError::File {
            path: folder,
            source,
        })?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| stay.contains(name)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn copies(&self) -> MutexGuard<'_, Leases> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents(&self, sha256: &str) -> PathBuf {
        self.folder.join(CONTENTS).join(sha256)
    }
}

/// The copies in a folder.
fn found_in(folder: &Path) -> Leases {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter(|name| name.len() == 64);
    names.map(|name| (name, Lease::default())).collect()
}

/// The kept files of a rule set, to be read in place of those of the operator.
pub(crate) struct Copies<'s> {
    store: &'s Store,
    manifest: &'s Manifest,
}

impl<'s> Copies<'s> {
    /// The files of a list.
    pub(crate) fn new(store: &'s Store, manifest: &'s Manifest) -> Self {
        Self { store, manifest }
    }

    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut files = self.manifest.files.iter();
        let kept = files.find(|file| file.name == name);
        let kept = kept.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        let file = File::open(self.store.contents(&kept.sha256))?;
        file.take(limit).read_to_end(&mut bytes)?;
        if digest(&bytes) == kept.sha256 {
            Ok(bytes)
        } else {
            Err(io::Error::other("the copy is damaged"))
        }
    }
}

impl Files for Copies<'_> {
    fn rules(&self, limit: u64) -> io::Result<Vec<u8>> {
        self.read("", limit)
    }

    fn named(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.read(name, limit)
    }
}

/// Writes a file as a whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
    let new = path.with_extension("new");
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().map_err(|source| {
        // A full disk must not stay full of halves.
        let _ = fs::remove_file(&new);
        KeepError::File {
            path: path.to_owned(),
            source,
        }
    })
}

fn sync(folder: &Path) -> Result<(), KeepError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| KeepError::File {
        path: folder.to_owned(),
        source,
    })
}

fn remove(path: &Path) -> Result<(), KeepError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(KeepError::File {
            path: path.to_owned(),
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Checks that no other user can write to a folder.
fn require_unshared(folder: &Path) -> Result<(), KeepError> {
    let found = fs::metadata(folder).map_err(|source| KeepError::File {
        path: folder.to_owned(),
        source,
    })?;
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let is_ours = owner == 0 || owner == nix::unistd::geteuid().as_raw();
    if is_ours && mode & 0o022 == 0 {
        return Ok(());
    }
    Err(KeepError::Shared {
        path: folder.to_owned(),
        owner,
        mode,
    })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

    use super::*;
    use crate::rule_file::contents::Hold;

    fn read(name: &str, text: &str) -> FileRead {
        FileRead {
            name: name.to_owned(),
            sha256: digest(text.as_bytes()),
            contents: Contents::Held(Arc::new(text.as_bytes().to_vec())),
        }
    }

    fn manifest(files: &[FileRead]) -> Manifest {
        let files = files.iter().map(|file| KeptFile {
            name: file.name.clone(),
            sha256: file.sha256.clone(),
        });
        Manifest {
            version: VERSION,
            kept_at: "now".to_owned(),
            file: "/rules.toml".into(),
            sizes: Sizes::default(),
            files: files.collect(),
        }
    }

    fn keep(store: &Store, files: &[FileRead], is_waiting: bool) {
        store.keep(&manifest(files), files, is_waiting).unwrap();
    }

    fn copied(store: &Store) -> BTreeSet<String> {
        store.leases().into_keys().collect()
    }

    fn kept_rules(store: &Store) -> String {
        let good = store.good().unwrap();
        let copies = Copies::new(store, &good);
        String::from_utf8(copies.rules(100).unwrap()).unwrap()
    }

    #[test]
    fn the_rules_in_force_and_those_before_are_kept_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::open(&base.path().join("test")).unwrap();
        assert_eq!(store.good(), None);
        keep(&store, &[read("", "one"), read("list", "same")], false);
        keep(&store, &[read("", "two"), read("list", "same")], false);
        assert_eq!(copied(&store).len(), 3);
        keep(&store, &[read("", "three"), read("list", "same")], false);
        assert_eq!(kept_rules(&store), "three");
        let known = [read("", "two"), read("", "three"), read("", "same")];
        assert_eq!(copied(&store), known.map(|file| file.sha256).into());
        // Contents that are there need no bytes.
        let mut files = [read("", "two"), read("list", "same")];
        for file in &mut files {
            file.contents = Contents::Copied {
                _lease: store.leases()[&file.sha256].clone(),
            };
        }
        keep(&store, &files, false);
        let good = store.good().unwrap();
        let copies = Copies::new(&store, &good);
        assert_eq!(copies.named("list", 100).unwrap(), b"same");
        assert!(copies.named("other", 100).is_err());
        files[0].sha256 = digest(b"none");
        let gone = store.keep(&manifest(&files), &files, false);
        assert!(matches!(gone, Err(KeepError::Gone(_))));
        assert_eq!(kept_rules(&store), "two");
    }

    #[test]
    fn rules_are_good_once_they_are_confirmed_and_a_return_is_followed() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::open(&base.path().join("test")).unwrap();
        keep(&store, &[read("", "one")], false);
        keep(&store, &[read("", "two")], true);
        assert_eq!(kept_rules(&store), "one");
        // A daemon that takes the waiting rules over.
        store.return_to(&digest(b"two")).unwrap();
        store.confirm().unwrap();
        assert_eq!(kept_rules(&store), "two");
        keep(&store, &[read("", "three")], true);
        store.return_to(&digest(b"two")).unwrap();
        store.confirm().unwrap();
        assert_eq!(kept_rules(&store), "two");
        store.return_to(&digest(b"one")).unwrap();
        assert_eq!(kept_rules(&store), "one");
        store.return_to(&digest(b"two")).unwrap();
        assert_eq!(kept_rules(&store), "two");
        assert_eq!(copied(&store).len(), 2);
    }

    #[test]
    fn contents_stay_while_rules_that_were_read_from_them_wait_to_be_kept() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::open(&base.path().join("test")).unwrap();
        keep(&store, &[read("", "one")], false);
        keep(&store, &[read("", "two")], true);
        // The file is read again while it is being given up.
        let hold = Hold::Unless(store.leases());
        store.return_to(&digest(b"one")).unwrap();
        let files = [hold.note("", b"two").unwrap()];
        drop(hold);
        store.return_to(&digest(b"one")).unwrap();
        assert!(matches!(files[0].contents, Contents::Copied { .. }));
        keep(&store, &files, false);
        assert_eq!(kept_rules(&store), "two");
        // What nobody holds goes, though later rules were read from other copies.
        drop(files);
        keep(&store, &[read("", "three")], false);
        let files = [Hold::Unless(store.leases()).note("", b"three").unwrap()];
        keep(&store, &files, false);
        keep(&store, &[read("", "four")], false);
        assert_eq!(copied(&store).len(), 2);
    }

    #[test]
    fn what_is_damaged_or_cut_off_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("test");
        let store = Store::open(&folder).unwrap();
        keep(&store, &[read("", "one")], false);
        let good = store.good().unwrap();
        let path = store.contents(&digest(b"one"));
        fs::write(&path, "eno").unwrap();
        assert!(Copies::new(&store, &good).rules(100).is_err());
        let list = folder.join("good.json");
        let json = fs::read(&list).unwrap();
        fs::write(&list, &json[..json.len() / 2]).unwrap();
        assert_eq!(store.good(), None);
    }

    #[test]
    fn a_folder_of_others_or_of_another_daemon_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("test");
        let store = Store::open(&folder).unwrap();
        assert!(matches!(Store::open(&folder), Err(KeepError::Busy(_))));
        drop(store);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            Store::open(&folder),
            Err(KeepError::Shared { .. })
        ));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_copy_before() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("test");
        let store = Store::open(&folder).unwrap();
        keep(&store, &[read("", "one")], false);
        // A folder in the place of the file.
        fs::create_dir(folder.join("good.new")).unwrap();
        let files = [read("", "two")];
        assert!(store.keep(&manifest(&files), &files, false).is_err());
        assert_eq!(kept_rules(&store), "one");
    }
}
