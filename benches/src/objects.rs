//! Lists the BPF objects in the kernel by id, to check that a program leaves none behind.

use std::{collections::BTreeSet, fs, io, path::Path};

use anyhow::{Context as _, Result};
use aya_obj::generated::bpf_cmd;
use nix::errno::Errno;

use crate::bpf::bpf;

/// A kind of BPF object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A program.
    Program,
    /// A map.
    Map,
    /// A link.
    Link,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Program, Self::Map, Self::Link];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Map => "map",
            Self::Link => "link",
        }
    }

    /// The command that gives the next id.
    const fn next_id_command(self) -> bpf_cmd {
        match self {
            Self::Program => bpf_cmd::BPF_PROG_GET_NEXT_ID,
            Self::Map => bpf_cmd::BPF_MAP_GET_NEXT_ID,
            Self::Link => bpf_cmd::BPF_LINK_GET_NEXT_ID,
        }
    }

    /// The key of an id in `/proc/PID/fdinfo`.
    const fn key(self) -> &'static str {
        match self {
            Self::Program => "prog_id:",
            Self::Map => "map_id:",
            Self::Link => "link_id:",
        }
    }
}

/// A BPF object in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// The kind of object.
    pub kind: ObjectKind,
    /// The id that the kernel gave it, and does not reuse for its kind for a long time.
    pub id: u32,
}

/// Lists every BPF object in the kernel, whatever its owner.
///
/// # Errors
///
/// If the kernel refuses (`CAP_SYS_ADMIN`).
pub fn all() -> Result<BTreeSet<Object>> {
    let mut objects = BTreeSet::new();
    for kind in ObjectKind::ALL {
        let mut id = 0;
        while let Some(next) = next_id(kind, id)
            .with_context(|| format!("cannot list the BPF {}s (this needs root)", kind.name()))?
        {
            id = next;
            objects.insert(Object { kind, id });
        }
    }
    Ok(objects)
}

/// Lists the BPF objects that a process holds by descriptors.
///
/// # Errors
///
/// If the process is gone or may not be inspected.
pub fn of_process(process: u32) -> Result<BTreeSet<Object>> {
    let folder = Path::new("/proc").join(process.to_string()).join("fdinfo");
    let listing = folder
        .read_dir()
        .with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut objects = BTreeSet::new();
    for entry in listing {
        // A descriptor that was closed in the meantime holds nothing.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        for line in text.lines() {
            for kind in ObjectKind::ALL {
                let id = line.strip_prefix(kind.key()).map(str::trim);
                if let Some(Ok(id)) = id.map(str::parse) {
                    objects.insert(Object { kind, id });
                }
            }
        }
    }
    Ok(objects)
}

/// The lowest id of a kind above `id`.
#[expect(unsafe_code, reason = "a system call")]
fn next_id(kind: ObjectKind, id: u32) -> io::Result<Option<u32>> {
    /// The members of `union bpf_attr` that the command reads and writes.
    #[repr(C)]
    struct NextIdAttributes {
        start_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut attributes = NextIdAttributes {
        start_id: id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the members of the command, which are numbers.
    match unsafe { bpf(kind.next_id_command(), &mut attributes) } {
        Ok(_) => Ok(Some(attributes.next_id)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn objects_are_listed_without_an_end() {
        all().unwrap();
    }

    #[test]
    fn a_process_without_bpf_descriptors_holds_no_objects() {
        assert_eq!(of_process(process::id()).unwrap(), BTreeSet::new());
        assert!(of_process(u32::MAX).is_err());
    }
}
