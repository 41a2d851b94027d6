//! A network namespace for this process, in which guests are connected.

use std::fs;

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid},
};

/// Moves the process to a new network namespace, in which it may create interfaces; for an ordinary
/// user, also to a new user namespace. The process must still be single-threaded.
pub(crate) fn enter() -> Result<()> {
    const HELP: &str = "root may make a network namespace; others where the system lets them make \
                        user namespaces";
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        return unshare(CloneFlags::CLONE_NEWNET).context(HELP);
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).context(HELP)?;
    // `user_namespaces(7)`: an ordinary user may map its own user ID, and its group ID once
    // `setgroups` is denied.
    for (file, text) in [
        ("uid_map", format!("0 {user} 1")),
        ("setgroups", "deny".to_owned()),
        ("gid_map", format!("0 {group} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).with_context(|| format!("cannot write `{path}`"))?;
    }
    Ok(())
}
