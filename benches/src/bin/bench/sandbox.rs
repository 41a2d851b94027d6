//! What makes sure that nothing done later outlives the process.

use anyhow::{Context as _, Result, bail};
use benches::interrupt::Interrupt;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

/// Enters a mount namespace of this process's own, and takes over the signals that would end it.
pub(crate) fn enter() -> Result<Interrupt> {
    if !geteuid().is_root() {
        bail!("making network namespaces and loading XDP programs needs root");
    }
    // What is mounted is gone with the last process in it. This comes before the first thread,
    // since threads share the namespace they begin in.
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
