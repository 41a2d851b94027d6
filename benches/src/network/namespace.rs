//! A network namespace without a name, held by a descriptor.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd},
    panic,
    process::{Child, Command},
    thread,
};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns, unshare};

/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, which exists as long as this value, a process or a socket in it.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// Makes a namespace with a loopback interface that is down.
    ///
    /// # Errors
    ///
    /// If the caller may not create namespaces (`CAP_SYS_ADMIN`).
    pub fn new() -> Result<Self> {
        let file = on_a_thread(|| -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)
                .context("cannot make a network namespace (this needs root)")?;
            File::open(OWN).with_context(|| format!("cannot open `{OWN}`"))
        })?;
        Ok(Self(file))
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// If `/proc` is not mounted.
    pub fn own() -> Result<Self> {
        let file = File::open(OWN).with_context(|| format!("cannot open `{OWN}`"))?;
        Ok(Self(file))
    }

    /// Runs `work` in the namespace, on a separate thread, and returns its result.
    ///
    /// Sockets that `work` opens stay in the namespace, wherever they are used later, and processes
    /// that it starts run in it. A panic of `work` is propagated.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_a_thread(|| {
            setns(self.as_fd(), CloneFlags::CLONE_NEWNET)
                .context("cannot enter a network namespace (this needs root)")?;
            Ok(work())
        })
    }

    /// Starts `command` in the namespace.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered or the command not started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let program = command.get_program().to_owned();
        // A child begins in the namespace of the thread that starts it.
        self.run(|| command.spawn())?
            .with_context(|| format!("cannot start `{}`", program.display()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Runs `work` on a thread that ends with it, because a thread cannot always return to its previous
/// namespace.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match thread::scope(|scope| scope.spawn(work).join()) {
        Ok(result) => result,
        Err(payload) => panic::resume_unwind(payload),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Stdio};

    use super::*;
    use crate::tools;

    #[test]
    #[ignore = "needs root"]
    fn a_namespace_is_another_one_and_children_run_in_it() {
        let namespace = Namespace::new().unwrap();
        let link = || fs::read_link(OWN).unwrap();
        let inside = namespace.run(link).unwrap();
        assert_ne!(inside, link());
        assert_eq!(namespace.run(link).unwrap(), inside);
        let mut command = tools::command("readlink");
        command.arg("/proc/self/ns/net").stdout(Stdio::piped());
        let output = namespace
            .spawn(&mut command)
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().trim(),
            inside.to_str().unwrap()
        );
    }
}
