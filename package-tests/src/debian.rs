//! The root folder of a Debian system: fetched once, and used through a layer that takes the changes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

/// The release that the package is tested on.
const RELEASE: &str = "bookworm";

/// What changes in a Debian system without the package: logs, caches, what dpkg and systemd keep for themselves.
const RESTLESS: [&str; 9] = [
    "etc/machine-id",
    "tmp",
    "var/cache",
    "var/lib/dpkg/available",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/status-old",
    "var/lib/systemd",
    "var/log",
    "var/tmp",
];

/// Fetches a minimal system with systemd, unless it is in the folder; returns the folder.
pub(crate) fn fetched(folder: &Path, mirror: &str) -> Result<PathBuf> {
    if !folder.join("lib/systemd/systemd").exists() {
        println!("fetching Debian {RELEASE} into `{}`", folder.display());
        let unfinished = folder.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let mut command = Command::new("debootstrap");
        command
            .args(["--variant=minbase", "--include=systemd", RELEASE])
            .arg(&unfinished)
            .arg(mirror)
            .stdout(Stdio::null());
        let status = command.status();
        let status = status.context("cannot run `debootstrap`\nhelp: run `make setup`")?;
        ensure!(
            status.success(),
            "`debootstrap` failed; `{}/debootstrap/debootstrap.log` has the reason",
            unfinished.display()
        );
        fs::rename(&unfinished, folder)?;
    }
    Ok(folder.canonicalize()?)
}

/// A Debian system whose changes are gone with this value.
pub(crate) struct Root {
    folder: TempDir,
}

impl Root {
    /// Lays a layer over a system.
    pub(crate) fn over(debian: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("firewall-package-")
            .tempdir()?;
        let layer = folder.path().join("layer");
        mkdir(&layer)?;
        // The layer is in memory, and not on what may itself be a layer, which the kernel refuses.
        mount(
            Some("tmpfs"),
            &layer,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=755"),
        )
        .context("cannot mount a file system in memory")?;
        let root = Self { folder };
        for part in ["changes", "work"] {
            mkdir(&layer.join(part))?;
        }
        mkdir(&root.path())?;
        let options = format!(
            "lowerdir={},upperdir={1}/changes,workdir={1}/work",
            debian.display(),
            layer.display()
        );
        mount(
            Some("overlay"),
            &root.path(),
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .context("cannot lay a layer over the Debian system")?;
        Ok(root)
    }

    /// The root folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A folder beside it, for this run.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// The files, folders and links, but for those that change by themselves.
    pub(crate) fn files(&self) -> Result<BTreeSet<PathBuf>> {
        let root = self.path();
        let mut found = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                let name = path.strip_prefix(&root)?;
                if RESTLESS.iter().any(|restless| name.starts_with(restless)) {
                    continue;
                }
                found.insert(name.to_owned());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(found)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // The mounts are gone with the namespace of this process in any case.
        for mounted in [self.path(), self.folder.path().join("layer")] {
            let _ = umount2(&mounted, MntFlags::MNT_DETACH);
        }
    }
}

fn mkdir(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("cannot make `{}`", path.display()))
}
