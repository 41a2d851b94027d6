//! Information from the kernel about programs and maps.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    path::Path,
    sync::OnceLock,
    time::SystemTime,
};

use aya::{
    maps::{MapData, MapError, MapInfo},
    programs::{ProgramError, ProgramInfo, loaded_programs},
};

use crate::kernel::{
    hook::Hook,
    pins::{self, PinnedObject, Pins},
    syscall,
};

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InfoError {
    /// The query of the program.
    #[error("cannot query the program")]
    Program(#[source] ProgramError),
    /// The query of a map.
    #[error("cannot query map {id}")]
    Map {
        /// The map's number.
        id: u32,
        /// Why.
        source: MapError,
    },
    /// The query of the memory of a map.
    #[error("cannot query the memory of map {id}")]
    Memory {
        /// The map's number.
        id: u32,
        /// Why.
        source: io::Error,
    },
}

/// A loaded program.
pub(crate) struct ProgramFacts {
    /// The kernel's number.
    pub(crate) id: u32,
    /// The tag: a hash of the instructions, as `bpftool` writes it.
    pub(crate) tag: String,
    /// The instructions that the verifier went through (Linux 5.16).
    pub(crate) verified_instructions: Option<u32>,
    /// The bytes of eBPF code.
    pub(crate) translated_bytes: Option<u32>,
    /// The bytes of machine code; 0 when the program is interpreted.
    pub(crate) jited_bytes: u32,
    /// The bytes of memory.
    pub(crate) memory: Option<u32>,
    /// When it was loaded.
    pub(crate) loaded_at: Option<SystemTime>,
    /// The numbers of its maps, sorted; none if this process lacks the privilege to query them.
    pub(crate) maps: Vec<u32>,
}

/// The program pinned to `path`.
pub(crate) fn program(path: &Path) -> Result<ProgramFacts, InfoError> {
    let info = match ProgramInfo::from_pin(path) {
        Ok(info) => info,
        // It can be opened to read where the file system is read-only.
        Err(error) => pinned_program(path).ok_or(InfoError::Program(error))?,
    };
    let mut maps = match info.map_ids() {
        Ok(maps) => maps.unwrap_or_default(),
        // The library opens the program by its number for this, which needs `CAP_SYS_ADMIN`.
        Err(ProgramError::SyscallError(error))
            if error.io_error.kind() == io::ErrorKind::PermissionDenied =>
        {
            Vec::new()
        }
        Err(error) => return Err(InfoError::Program(error)),
    };
    maps.sort_unstable();
    Ok(ProgramFacts {
        id: info.id(),
        tag: format!("{:016x}", info.tag()),
        verified_instructions: info.verified_instruction_count(),
        translated_bytes: info.size_translated(),
        jited_bytes: info.size_jitted(),
        memory: info.memory_locked().ok(),
        loaded_at: info.loaded_at(),
        maps,
    })
}

/// The program pinned to `path`, found by its number.
fn pinned_program(path: &Path) -> Option<ProgramInfo> {
    let program = syscall::open_pin_to_read(path).ok()?;
    let id = pins::program_id(program.as_fd())?;
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
}

/// The names of all programs at the time when this process had the privilege to query them.
static NAMES: OnceLock<BTreeMap<u32, String>> = OnceLock::new();

/// Collects the names of all programs, before the privilege to query them (`CAP_SYS_ADMIN`) is
/// dropped.
pub(crate) fn note_program_names() {
    NAMES.get_or_init(|| {
        let programs = loaded_programs().filter_map(Result::ok);
        programs
            .filter_map(|program| Some((program.id(), program.name_as_str()?.to_owned())))
            .collect()
    });
}

/// The name of the program with this number, if it exists and is known to this process.
pub(crate) fn program_name(id: u32) -> Option<String> {
    let noted = NAMES.get().and_then(|names| names.get(&id));
    noted.cloned().or_else(|| {
        loaded_programs()
            .filter_map(Result::ok)
            .find(|program| program.id() == id)?
            .name_as_str()
            .map(str::to_owned)
    })
}

/// Describes a program for messages: by its name, if known, its number, and the instance to which it
/// belongs, if that has pinned it in this BPF file system.
pub(crate) fn program_words(id: u32, bpffs: &Path) -> String {
    let words = match program_name(id) {
        Some(name) => format!("`{name}`, id {id}"),
        None => format!("id {id}"),
    };
    match instance_of(id, bpffs) {
        Some(instance) => format!("{words}, of the instance `{instance}`"),
        None => words,
    }
}

/// The instance that has pinned the program with this number in this BPF file system; `None` when there is
/// none, or this process lacks the privilege to query it.
pub(crate) fn instance_of(id: u32, bpffs: &Path) -> Option<String> {
    let mut instances = pins::instances(bpffs).into_iter();
    instances.find(|instance| {
        let pins = Pins::new(bpffs, instance);
        let mut pinned = Hook::ALL
            .into_iter()
            .map(|hook| pins.object(PinnedObject::program_of(hook)));
        pinned.any(|pin| {
            // The daemon has not the privilege to query more than the number.
            let program = syscall::open_pin_to_read(&pin);
            program.is_ok_and(|program| pins::program_id(program.as_fd()) == Some(id))
        })
    })
}

/// The number of the link that holds the program on the interface of this index; `None` when there
/// is none, or this process lacks the privilege to query it.
pub(crate) fn link_of(program: u32, interface: u32) -> Option<u32> {
    let links = std::iter::successors(syscall::next_link(0).ok()?, |&link| {
        syscall::next_link(link).ok().flatten()
    });
    links.into_iter().find(|&link| {
        let info = syscall::open_link(link).and_then(|link| syscall::xdp_link_info(link.as_fd()));
        info.is_ok_and(|info| (info.program, info.interface) == (program, interface))
    })
}

/// A map.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct MapFacts {
    /// The kernel's number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// How many entries it has room for.
    pub entries: u32,
    /// The bytes of one entry's value.
    pub value_bytes: u32,
    /// The bytes of memory.
    pub memory: u64,
}

/// The map with this number; `None` when the kernel has freed it.
pub(crate) fn map(id: u32) -> Result<Option<MapFacts>, InfoError> {
    let opened = MapInfo::from_id(id).and_then(|info| {
        let fd = info.fd()?;
        Ok((info, fd))
    });
    let (info, fd) = match opened {
        Ok(opened) => opened,
        Err(error) if is_freed(&error) => return Ok(None),
        Err(source) => return Err(InfoError::Map { id, source }),
    };
    map_facts(&info, fd.as_fd()).map(Some)
}

/// An open map.
pub(crate) fn map_of(map: &MapData) -> Result<MapFacts, InfoError> {
    let info = map
        .info()
        .map_err(|source| InfoError::Map { id: 0, source })?;
    map_facts(&info, map.fd().as_fd())
}

fn map_facts(info: &MapInfo, fd: BorrowedFd<'_>) -> Result<MapFacts, InfoError> {
    let id = info.id();
    Ok(MapFacts {
        id,
        name: String::from_utf8_lossy(info.name()).into_owned(),
        entries: info.max_entries(),
        value_bytes: info.value_size(),
        memory: memory(fd).map_err(|source| InfoError::Memory { id, source })?,
    })
}

/// Whether the error is that this process may not open a map by its number, for which it needs `CAP_SYS_ADMIN`.
pub(crate) fn is_forbidden(error: &InfoError) -> bool {
    let InfoError::Map { source, .. } = error else {
        return false;
    };
    let MapError::SyscallError(error) = source else {
        return false;
    };
    error.io_error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether the error is that no map has the number.
pub(crate) fn is_freed(error: &MapError) -> bool {
    let MapError::SyscallError(error) = error else {
        return false;
    };
    error.io_error.kind() == io::ErrorKind::NotFound
}

/// `memlock` of the descriptor, which since Linux 6.4 is the memory in use
/// (`bpf_map_show_fdinfo`, `kernel/bpf/syscall.c`).
fn memory(fd: BorrowedFd<'_>) -> io::Result<u64> {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?
        .lines()
        .find_map(|line| line.strip_prefix("memlock:"))
        .and_then(|bytes| bytes.trim().parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
