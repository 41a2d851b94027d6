//! The requirements for loading anything: privileges, locked memory and a BPF file system.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::sys::{
    resource::{Resource, setrlimit},
    statfs::{BPF_FS_MAGIC, statfs},
};

/// A requirement that the machine does not meet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The process lacks capabilities.
    #[error("not enough privilege: {} missing", missing.join(" and "))]
    NotPrivileged {
        /// The names of the capabilities.
        missing: Vec<&'static str>,
    },
    /// The process's capabilities are unknown.
    #[error("the capabilities of this process could not be read from `{STATUS}`")]
    Capabilities(#[source] io::Error),
    /// The path is not inside a BPF file system.
    #[error("no BPF file system at `{}`", path.display())]
    NoBpffs {
        /// The path.
        path: PathBuf,
    },
}

impl HostError {
    /// How to fix it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::NotPrivileged { .. } => Some("run it as root, for example with `sudo`".into()),
            Self::Capabilities(_) => None,
            Self::NoBpffs { path } => Some(format!(
                "mount one with `mount -t bpf bpf {0}`, or name another place with `--bpffs`",
                path.display()
            )),
        }
    }
}

const STATUS: &str = "/proc/self/status";

/// `include/uapi/linux/capability.h`.
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;

/// Checks that the process may load programs, attach them, and open what is pinned.
pub(crate) fn require_privileges() -> Result<(), HostError> {
    let status = fs::read_to_string(STATUS).map_err(HostError::Capabilities)?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| HostError::Capabilities(io::ErrorKind::InvalidData.into()))?;
    match missing(effective) {
        missing if missing.is_empty() => Ok(()),
        missing => Err(HostError::NotPrivileged { missing }),
    }
}

/// Opening a map by its number needs `CAP_SYS_ADMIN` (`bpf_map_get_fd_by_id`,
/// `kernel/bpf/syscall.c`), which implies `CAP_BPF`.
fn missing(effective: u64) -> Vec<&'static str> {
    [(SYS_ADMIN, "CAP_SYS_ADMIN"), (NET_ADMIN, "CAP_NET_ADMIN")]
        .into_iter()
        .filter(|(capability, _)| effective & (1 << capability) == 0)
        .map(|(_, name)| name)
        .collect()
}

/// Checks that `path` is inside a BPF file system.
pub(crate) fn require_bpffs(path: &Path) -> Result<(), HostError> {
    let is_bpf = statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC);
    if is_bpf {
        Ok(())
    } else {
        Err(HostError::NoBpffs {
            path: path.to_owned(),
        })
    }
}

/// Lifts the limit of locked memory, which kernels before 5.11 charge maps and programs to. A
/// failure is no error: the kernel then refuses maps above the limit.
pub(crate) fn lift_memory_limit() {
    if let Err(error) = setrlimit(
        Resource::RLIMIT_MEMLOCK,
        libc::RLIM_INFINITY,
        libc::RLIM_INFINITY,
    ) {
        tracing::debug!(
            event = "memory_limit_stays",
            %error,
            "the limit of locked memory stays"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_misses_nothing_and_a_user_everything() {
        assert_eq!(missing(u64::MAX), Vec::<&str>::new());
        assert_eq!(missing(1 << SYS_ADMIN | 1 << NET_ADMIN), Vec::<&str>::new());
        assert_eq!(missing(0), ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << NET_ADMIN), ["CAP_SYS_ADMIN"]);
    }

    #[test]
    fn a_temporary_folder_is_no_bpf_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let error = require_bpffs(folder.path()).unwrap_err();
        assert!(error.help().unwrap().contains("mount -t bpf"));
    }
}
