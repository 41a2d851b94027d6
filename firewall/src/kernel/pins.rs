//! The paths of the pins of an instance, and file operations on pins.
//!
//! ```text
//! <BPF file system>/firewall/<instance>/
//!   images               the array whose element 0 is the image in force
//!   counters             the counters
//!   program              the XDP program
//!   program-egress, program-bare-egress, program-bare-ingress
//!                        the programs at the hooks of traffic control, where they are attached
//!   flows, flow-tags, flow-addresses, flow-settings, flow-events, flow-trackers
//!                        the table of flows, where rules ask for states
//!   bans, ban-prefilter, ban-counters
//!                        the bans, which every program of the instance shares
//!   log-limiters, events likewise the limits of logged packets, and the buffer they come by
//!   link-<interface>     the attachment to each interface
//!   egress-<interface>, bare-egress-<interface>, bare-ingress-<interface>
//!                        those at the hooks of traffic control, where the kernel has links for them
//!   clsact-<index>       where it has none: the interface had no `clsact` before
//!   next-7-images ...    while a new program takes over: what is to take the places above,
//!                        with the number of the generation
//!   previous-7           the image that was in force before generation 7
//!   unconfirmed-7        as long as generation 7 waits for its confirmation: until when
//! ```
//!
//! The last two mean nothing unless the generation of their number is in force: they are pinned
//! before the switch, which is what makes them true, and those of other numbers are remains.
//!
//! A dot in a file name is reserved by the BPF file system (`bpf_lookup`, `kernel/bpf/inode.c`);
//! in interface names `.` becomes `%2E` and `%` becomes `%25`.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use firewall_ebpf::abi;

use crate::kernel::{generation::Generation, hook::Hook, syscall};

/// The folder of all instances.
const HOUSE: &str = "firewall";

/// The mode of both folders.
const FOR_OWNER: u32 = 0o700;

const CLSACT_PREFIX: &str = "clsact-";

const NEXT_PREFIX: &str = "next-";

/// The instances that have a folder in this BPF file system, sorted; none if it cannot be read.
pub(crate) fn instances(bpffs: &Path) -> Vec<String> {
    let entries = fs::read_dir(bpffs.join(HOUSE)).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// A file operation on a pin failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub(crate) struct PinError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PinError {
    fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

/// An object that is pinned once for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinnedObject {
    /// The array of images.
    Images,
    /// The counters.
    Counters,
    /// The XDP program.
    Program,
    /// The program of [`Hook::BareIngress`].
    BareIngress,
    /// The program of [`Hook::Egress`].
    Egress,
    /// The program of [`Hook::BareEgress`].
    BareEgress,
    /// A map of the table of flows, or of the programs that track them.
    Flows(FlowObject),
}

/// A map of the table of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FlowObject {
    /// The lines.
    Lines,
    /// Their tags.
    Tags,
    /// The addresses of IPv6 flows.
    Addresses,
    /// Keys and timeouts.
    Settings,
    /// The numbers of events.
    Events,
    /// The programs at traffic-control hooks that others go on with.
    Trackers,
    /// The XDP programs that others go on with.
    Errors,
}

impl FlowObject {
    /// Those of the table.
    pub(crate) const TABLE: [Self; 5] = [
        Self::Lines,
        Self::Tags,
        Self::Addresses,
        Self::Settings,
        Self::Events,
    ];

    /// Those of programs.
    pub(crate) const PROGRAMS: [Self; 2] = [Self::Trackers, Self::Errors];

    /// Every one: those of the table, and the programs.
    pub(crate) const ALL: [Self; 7] = [
        Self::Lines,
        Self::Tags,
        Self::Addresses,
        Self::Settings,
        Self::Events,
        Self::Trackers,
        Self::Errors,
    ];

    /// Its name in the object file.
    pub(crate) fn map(self) -> &'static str {
        match self {
            Self::Lines => abi::FLOW_LINES,
            Self::Tags => abi::FLOW_TAGS,
            Self::Addresses => abi::FLOW_ADDRESSES,
            Self::Settings => abi::FLOW_SETTINGS,
            Self::Events => abi::FLOW_EVENTS,
            Self::Trackers => abi::FLOW_TRACKERS,
            Self::Errors => abi::FLOW_ERRORS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lines => "flows",
            Self::Tags => "flow-tags",
            Self::Addresses => "flow-addresses",
            Self::Settings => "flow-settings",
            Self::Events => "flow-events",
            Self::Trackers => "flow-trackers",
            Self::Errors => "flow-errors",
        }
    }
}

impl PinnedObject {
    /// Every object, in the order in which new ones take their places: readers find the slots of
    /// the old image in the new counters, but not the other way round.
    pub(crate) const ALL: [Self; 13] = [
        Self::Counters,
        Self::Flows(FlowObject::Settings),
        Self::Flows(FlowObject::Addresses),
        Self::Flows(FlowObject::Tags),
        Self::Flows(FlowObject::Lines),
        Self::Flows(FlowObject::Events),
        Self::Flows(FlowObject::Trackers),
        Self::Flows(FlowObject::Errors),
        Self::Images,
        Self::Program,
        Self::BareIngress,
        Self::Egress,
        Self::BareEgress,
    ];

    /// The program of a hook.
    pub(crate) const fn program_of(hook: Hook) -> Self {
        match hook {
            Hook::Xdp => Self::Program,
            Hook::BareIngress => Self::BareIngress,
            Hook::Egress => Self::Egress,
            Hook::BareEgress => Self::BareEgress,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Counters => "counters",
            Self::Program => "program",
            Self::BareIngress => "program-bare-ingress",
            Self::Egress => "program-egress",
            Self::BareEgress => "program-bare-egress",
            Self::Flows(object) => object.name(),
        }
    }
}

/// An object that is kept for a generation in addition to those in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The image that was in force before it.
    Previous,
    /// The deadline of its confirmation, while it waits for that.
    Unconfirmed,
}

impl Kept {
    /// Every kind.
    pub(crate) const ALL: [Self; 2] = [Self::Previous, Self::Unconfirmed];

    fn prefix(self) -> &'static str {
        match self {
            Self::Previous => "previous-",
            Self::Unconfirmed => "unconfirmed-",
        }
    }
}

/// A map that is made once for an instance and outlives its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// The hash map of bans.
    Bans,
    /// The prefilter before it.
    BanPrefilter,
    /// The counters of bans by reason.
    BanCounters,
    /// What limits the events of each rule.
    LogLimiters,
    /// The ring buffer of events.
    Events,
    /// Whether dropped packets are captured.
    DropSwitch,
    /// Which of them.
    DropSettings,
    /// What became of them.
    DropCounts,
    /// The ring buffer of their events.
    DropEvents,
}

impl Shared {
    /// Every map.
    pub(crate) const ALL: [Self; 9] = [
        Self::Bans,
        Self::BanPrefilter,
        Self::BanCounters,
        Self::LogLimiters,
        Self::Events,
        Self::DropSwitch,
        Self::DropSettings,
        Self::DropCounts,
        Self::DropEvents,
    ];

    /// Its name in the object file.
    pub(crate) fn map(self) -> &'static str {
        match self {
            Self::Bans => abi::BANS,
            Self::BanPrefilter => abi::BAN_PREFILTER,
            Self::BanCounters => abi::BAN_COUNTERS,
            Self::LogLimiters => abi::LOG_LIMITERS,
            Self::Events => abi::EVENTS,
            Self::DropSwitch => abi::DROP_SWITCH,
            Self::DropSettings => abi::DROP_SETTINGS,
            Self::DropCounts => abi::DROP_COUNTS,
            Self::DropEvents => abi::DROP_EVENTS,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bans => "bans",
            Self::BanPrefilter => "ban-prefilter",
            Self::BanCounters => "ban-counters",
            Self::LogLimiters => "log-limiters",
            Self::Events => "events",
            Self::DropSwitch => "drop-switch",
            Self::DropSettings => "drop-settings",
            Self::DropCounts => "drop-counts",
            Self::DropEvents => "drop-events",
        }
    }
}

/// The pins of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    house: PathBuf,
    folder: PathBuf,
}

impl Pins {
    /// The pins of `instance` in the BPF file system at `bpffs`.
    pub(crate) fn new(bpffs: &Path, instance: &str) -> Self {
        let house = bpffs.join(HOUSE);
        let folder = house.join(instance);
        Self { house, folder }
    }

    /// The pin of an object in force.
    pub(crate) fn object(&self, object: PinnedObject) -> PathBuf {
        self.folder.join(object.name())
    }

    /// The pin of an object that is to be in force with this generation.
    pub(crate) fn next(&self, generation: Generation, object: PinnedObject) -> PathBuf {
        let object = object.name();
        self.folder
            .join(format!("{NEXT_PREFIX}{generation}-{object}"))
    }

    /// Where a map of the table of flows may be pinned: in its place, or still where one was that is to take it.
    pub(crate) fn flows(&self, object: FlowObject) -> Result<Vec<PathBuf>, PinError> {
        let object = PinnedObject::Flows(object);
        let interrupted = self.interrupted()?;
        let next = interrupted
            .iter()
            .filter(|(_, left)| *left == object)
            .map(|(generation, _)| self.next(*generation, object));
        Ok([self.object(object)].into_iter().chain(next).collect())
    }

    /// The pin of what is kept for a generation.
    pub(crate) fn kept(&self, kept: Kept, generation: Generation) -> PathBuf {
        self.folder.join(format!("{}{generation}", kept.prefix()))
    }

    /// The pins of objects kept for any generation.
    pub(crate) fn all_kept(&self) -> Result<Vec<(Kept, Generation)>, PinError> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| kept(name)).collect())
    }

    /// The pin of a map that outlives programs.
    pub(crate) fn shared(&self, object: Shared) -> PathBuf {
        self.folder.join(object.name())
    }

    /// The pin of the link at a hook of the interface called `name`.
    pub(crate) fn link(&self, hook: Hook, name: &str) -> PathBuf {
        self.folder
            .join(format!("{}{}", link_prefix(hook), escape(name)))
    }

    /// The names of the interfaces whose links at a hook are pinned, sorted; none when nothing is
    /// pinned.
    pub(crate) fn linked(&self, hook: Hook) -> Result<Vec<String>, PinError> {
        let names = self.names()?;
        let links = names
            .iter()
            .filter_map(|name| name.strip_prefix(link_prefix(hook)));
        Ok(links.map(unescape).collect())
    }

    /// The pin that says that the interface of this index had no `clsact` before.
    pub(crate) fn clsact(&self, interface: u32) -> PathBuf {
        self.folder.join(format!("{CLSACT_PREFIX}{interface}"))
    }

    /// The indexes of the interfaces that had no `clsact` before.
    pub(crate) fn clsacts(&self) -> Result<Vec<u32>, PinError> {
        let names = self.names()?;
        let indexes = names
            .iter()
            .filter_map(|name| name.strip_prefix(CLSACT_PREFIX));
        Ok(indexes.filter_map(|index| index.parse().ok()).collect())
    }

    /// The remains of interrupted changes, by generation.
    pub(crate) fn interrupted(&self) -> Result<Vec<(Generation, PinnedObject)>, PinError> {
        let names = self.names()?;
        let mut left: Vec<_> = names.iter().filter_map(|name| interrupted(name)).collect();
        left.sort_by_key(|&(generation, _)| generation);
        Ok(left)
    }

    /// The names in the folder, sorted; none when there is no folder.
    fn names(&self) -> Result<Vec<String>, PinError> {
        let failed = || PinError::new("read", &self.folder);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            names.extend(name.into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Whether the instance has its folder.
    pub(crate) fn exist(&self) -> bool {
        self.folder.is_dir()
    }

    /// Whether `folder` is the folder of the instance.
    pub(crate) fn is_folder(&self, folder: &File) -> bool {
        is_at(folder, &self.folder)
    }

    /// Creates the folder, accessible only by its owner; returns whether it is new.
    pub(crate) fn create_folder(&self) -> Result<bool, PinError> {
        let is_new = !self.exist();
        if is_new {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(FOR_OWNER);
            let created = builder.create(&self.folder);
            created.map_err(PinError::new("create", &self.folder))?;
        }
        // Others may have created them with other modes.
        for folder in [&self.house, &self.folder] {
            fs::set_permissions(folder, Permissions::from_mode(FOR_OWNER))
                .map_err(PinError::new("keep to its owner", folder))?;
        }
        Ok(is_new)
    }

    /// Removes the folder, and the folder of all instances when it was the last.
    pub(crate) fn remove_folder(&self) -> Result<(), PinError> {
        match fs::remove_dir(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PinError::new("remove", &self.folder)(error));
            }
            Ok(()) | Err(_) => {}
        }
        match fs::remove_dir(&self.house) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(PinError::new("remove", &self.house)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The outcome of an attempt to lock the folder of an instance.
#[derive(Debug)]
pub(crate) enum FolderLock {
    /// The lock is taken until the file is closed.
    Taken(File),
    /// Another process has it: this one, where `/proc/locks` lists it.
    Busy(Option<u32>),
    /// There is no folder, hence no state to lock.
    NoFolder,
}

impl Pins {
    /// Takes the lock on the folder of the instance (`flock(2)`), which is where the state is: it holds for every
    /// process that sees this BPF file system, in any network namespace and with any run folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened or locked.
    pub(crate) fn lock_folder(&self) -> Result<FolderLock, PinError> {
        let failed = || PinError::new("lock", &self.folder);
        loop {
            let folder = match File::open(&self.folder) {
                Ok(folder) => folder,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(FolderLock::NoFolder);
                }
                Err(error) => return Err(failed()(error)),
            };
            match folder.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Ok(FolderLock::Busy(holder(&folder)));
                }
                Err(TryLockError::Error(error)) => return Err(failed()(error)),
            }
            // The previous holder may have removed the folder since it was opened.
            if is_at(&folder, &self.folder) {
                return Ok(FolderLock::Taken(folder));
            }
        }
    }

    /// Whether a process has the lock on the folder of the instance.
    pub(crate) fn are_locked(&self) -> bool {
        File::open(&self.folder).is_ok_and(|folder| is_locked(&folder))
    }
}

/// Whether another process has an exclusive lock on `file`. While that is found out it is locked for readers, for which
/// processes that want the lock have to try again.
pub(crate) fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Whether `path` still names `file`.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

/// The process with a lock on `file`, as `/proc/locks` lists it (`proc_locks(5)`): the fields are number, `FLOCK`,
/// kind, access, process, `MAJOR:MINOR:INODE`. A process of another PID namespace is listed as 0.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let process = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, _, process, place, ..] if place.rsplit(':').next() == Some(&*inode) => {
                process.parse().ok()
            }
            _ => None,
        }
    })?;
    (process != 0).then_some(process)
}

/// The result of the comparison of a pin with an object of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinState {
    /// The same object.
    Same,
    /// Nothing is pinned.
    Missing,
    /// Another object, pinned by another process.
    Foreign,
}

/// Compares the object pinned to `path` with `held`.
///
/// # Errors
///
/// When the pin cannot be opened, or the kernel does not number the objects.
pub(crate) fn state(path: &Path, held: BorrowedFd<'_>) -> Result<PinState, PinError> {
    let Some(there) = open_to_read(path)? else {
        return Ok(PinState::Missing);
    };
    let number = |object| object_number(object).map_err(PinError::new("compare", path));
    if number(there.as_fd())? == number(held)? {
        Ok(PinState::Same)
    } else {
        Ok(PinState::Foreign)
    }
}

/// The kernel's number of the program pinned to `path`; `None` when nothing is.
pub(crate) fn program_at(path: &Path) -> Result<Option<u32>, PinError> {
    let Some(program) = open_to_read(path)? else {
        return Ok(None);
    };
    let number = program_number(program.as_fd()).map_err(PinError::new("query", path))?;
    Ok(Some(number))
}

/// The kernel's number of a program.
pub(super) fn program_number(program: BorrowedFd<'_>) -> io::Result<u32> {
    let line = object_number(program)?;
    let number = line.strip_prefix("prog_id:").map(str::trim);
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The kernel's number of a BPF object, with its kind: the line `map_id`, `prog_id` or `link_id` of
/// `/proc/self/fdinfo` (`bpf_map_show_fdinfo` and its siblings in `kernel/bpf/syscall.c`, all in Linux 5.10).
fn object_number(object: BorrowedFd<'_>) -> io::Result<String> {
    let path = format!("/proc/self/fdinfo/{}", object.as_raw_fd());
    let info = fs::read_to_string(path)?;
    let mut lines = info.lines();
    lines
        .find(|line| {
            ["map_id:", "prog_id:", "link_id:"]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The kernel's number of a program; `None` for other objects.
pub(super) fn program_id(object: BorrowedFd<'_>) -> Option<u32> {
    let number = object_number(object).ok()?;
    number.strip_prefix("prog_id:")?.trim().parse().ok()
}

/// Opens the object pinned to `path`; `None` when there is none.
pub(crate) fn open(path: &Path) -> Result<Option<OwnedFd>, PinError> {
    match syscall::open_pin(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // The kernel says that permission is denied.
        Err(_) if path.is_dir() => Err(PinError::new("open", path)(
            io::ErrorKind::IsADirectory.into(),
        )),
        Err(error) => Err(PinError::new("open", path)(error)),
    }
}

/// Opens a pinned object to query it, which a read-only file system allows except for links (`bpf_obj_get_user`,
/// `kernel/bpf/inode.c`); `None` when there is none.
///
/// # Errors
///
/// When it cannot be opened.
pub(crate) fn open_to_read(path: &Path) -> Result<Option<OwnedFd>, PinError> {
    match syscall::open_pin_to_read(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(_) => open(path),
    }
}

/// Pins an object.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), PinError> {
    syscall::pin(object, path).map_err(PinError::new("pin to", path))
}

/// Whether something is at `path`.
pub(crate) fn is_taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Removes a pin, if it is there.
pub(crate) fn unpin(path: &Path) -> Result<(), PinError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer.map_err(PinError::new("remove", path)),
    }
}

/// Gives a pin a new name in the same folder; the pin that had it is replaced in the same step.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), PinError> {
    fs::rename(from, to).map_err(PinError::new("rename", from))
}

/// What the names of the pins of links begin with; none is the beginning of another.
fn link_prefix(hook: Hook) -> &'static str {
    match hook {
        Hook::Xdp => "link-",
        Hook::BareIngress => "bare-ingress-",
        Hook::Egress => "egress-",
        Hook::BareEgress => "bare-egress-",
    }
}

fn interrupted(name: &str) -> Option<(Generation, PinnedObject)> {
    let (generation, object) = name.strip_prefix(NEXT_PREFIX)?.split_once('-')?;
    let object = PinnedObject::ALL
        .into_iter()
        .find(|known| known.name() == object)?;
    Some((Generation::new(generation.parse().ok()?), object))
}

fn kept(name: &str) -> Option<(Kept, Generation)> {
    Kept::ALL.into_iter().find_map(|kept| {
        let generation = name.strip_prefix(kept.prefix())?.parse().ok()?;
        Some((kept, Generation::new(generation)))
    })
}

fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('.', "%2E")
}

fn unescape(name: &str) -> String {
    name.replace("%2E", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_survive_the_file_system() {
        for name in ["eth0", "eth0.100", "a%b", "%2E", "%25.2E"] {
            let escaped = escape(name);
            assert!(!escaped.contains('.'), "{escaped}");
            assert_eq!(unescape(&escaped), name);
        }
    }

    #[test]
    fn interrupted_changes_are_told_by_their_pins() {
        let pins = Pins::new(Path::new("/"), "default");
        let pin = pins.next(Generation::new(7), PinnedObject::Counters);
        let name = pin.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, "next-7-counters");
        assert_eq!(
            interrupted(name),
            Some((Generation::new(7), PinnedObject::Counters))
        );
        for other in [
            "counters",
            "next-counters",
            "next-7-links",
            "link-next-7-images",
        ] {
            assert_eq!(interrupted(other), None, "{other}");
        }
    }
}
