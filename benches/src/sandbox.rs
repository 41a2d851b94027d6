//! The first step of programs: ensures that nothing done later outlives the process.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use crate::interrupt::Interrupt;

/// Enters a new mount namespace, and handles the signals that would end the process.
///
/// # Errors
///
/// If the caller is not root, or the kernel refuses.
pub fn enter() -> Result<Interrupt> {
    ensure!(
        geteuid().is_root(),
        "making network namespaces and loading XDP programs needs root\n\
         help: run it under `sudo`"
    );
    // Mounts disappear with the last process in it. This must precede the first thread, because
    // threads share the namespace in which they start.
    unshare(CloneFlags::CLONE_NEWNS)
        .context("cannot make a mount namespace (this needs CAP_SYS_ADMIN)")?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("cannot keep mounts to this process")?;
    Interrupt::watch()
}

/// The `firewall` command: the given one, or the one beside this program.
///
/// # Errors
///
/// If there is none.
pub fn firewall(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => env::current_exe()?.with_file_name("firewall"),
    };
    ensure!(
        path.is_file(),
        "there is no `firewall` command at `{}`\n\
         help: run `make build`, or name it with `--firewall`",
        path.display()
    );
    Ok(path.canonicalize()?)
}
