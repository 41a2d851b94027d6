//! A private BPF file system.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

/// A BPF file system mounted on a temporary folder until the value is dropped.
#[derive(Debug)]
pub struct BpfFs {
    folder: TempDir,
    /// The pins that the kernel itself creates (`CONFIG_BPF_PRELOAD`).
    preloaded: BTreeSet<PathBuf>,
}

impl BpfFs {
    /// Mounts it, in the mount namespace of the caller.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created or the mount is refused, usually for lack of privilege.
    pub fn mount() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("fw-bpffs-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        mount(
            Some("bpf"),
            folder.path(),
            Some("bpf"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
            None::<&str>,
        )
        .with_context(|| {
            format!(
                "cannot mount a BPF file system on `{}` (this needs root)",
                folder.path().display()
            )
        })?;
        let mut bpffs = Self {
            folder,
            preloaded: BTreeSet::new(),
        };
        bpffs.preloaded = bpffs.entries()?;
        Ok(bpffs)
    }

    /// The folder on which it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Every pin and folder created in it since it was mounted.
    ///
    /// # Errors
    ///
    /// If a folder cannot be read.
    pub fn pins(&self) -> Result<BTreeSet<PathBuf>> {
        Ok(&self.entries()? - &self.preloaded)
    }

    fn entries(&self) -> Result<BTreeSet<PathBuf>> {
        let mut entries = BTreeSet::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            let listing = folder
                .read_dir()
                .with_context(|| format!("cannot read `{}`", folder.display()))?;
            for entry in listing {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
                entries.insert(entry.path());
            }
        }
        Ok(entries)
    }
}

impl Drop for BpfFs {
    /// Unmounts it, which removes every pin. A process that still has a file of it open keeps its
    /// contents, invisible to others.
    fn drop(&mut self) {
        // The folder is removed afterwards by its own guard; there is no caller to report an error
        // to.
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn a_bpf_file_system_is_there_until_it_is_dropped() {
        let bpffs = BpfFs::mount().unwrap();
        let path = bpffs.path().to_owned();
        assert_eq!(statfs(&path).unwrap().filesystem_type(), BPF_FS_MAGIC);
        assert_eq!(bpffs.pins().unwrap(), BTreeSet::new());
        fs::create_dir_all(path.join("a/b")).unwrap();
        let expected = BTreeSet::from([path.join("a"), path.join("a/b")]);
        assert_eq!(bpffs.pins().unwrap(), expected);
        drop(bpffs);
        assert!(!path.exists());
    }
}
