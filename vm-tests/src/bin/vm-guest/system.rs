//! Prepares the system: file systems and kernel modules.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::{
    kmod::{ModuleInitFlags, finit_module},
    mount::{MsFlags, mount as mount_at},
};

/// The folder of the modules.
const FOLDER: &str = "/modules";

/// Mounts the file systems of the kernel; the packed files are in memory and writable.
pub(crate) fn mount() -> Result<()> {
    for (kind, path) in [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("bpf", "/sys/fs/bpf"),
    ] {
        mount_at(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount `{path}`"))?;
    }
    Ok(())
}

/// Loads the kernel modules of a list that was packed, in its order.
pub(crate) fn load_modules(list: &str) -> Result<()> {
    let order = fs::read_to_string(list).with_context(|| format!("cannot read `{list}`"))?;
    for name in order.lines() {
        let path = Path::new(FOLDER).join(name);
        let module =
            File::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
        finit_module(&module, c"", ModuleInitFlags::empty())
            .with_context(|| format!("cannot load the kernel module `{name}`"))?;
    }
    Ok(())
}

/// The release of the kernel.
pub(crate) fn release() -> Result<String> {
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"))?;
    Ok(release.trim().to_owned())
}
