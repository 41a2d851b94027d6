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

/// The folder of the modules, and the list of them in load order.
const MODULES: &str = "/modules";
const ORDER: &str = "/modules/order";

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

/// Loads the kernel modules that were packed.
pub(crate) fn load_modules() -> Result<()> {
    let order = fs::read_to_string(ORDER).with_context(|| format!("cannot read `{ORDER}`"))?;
    for name in order.lines() {
        let path = Path::new(MODULES).join(name);
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
