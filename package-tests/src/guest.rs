//! A Debian system that runs: its systemd is process 1 of namespaces of its own, on a test network.

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use benches::network::Network;

use crate::debian::Root;

/// How long the system may take to start, and what is waited for to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the namespaces and becomes systemd. It is given the root folder, one beside it, and a name for the control group.
const BEGIN: &str = r#"
set -eu
root=$1 beside=$2 group=$3
mount --make-rprivate /
mkdir "$beside/cgroup"
mount -t cgroup2 none "$beside/cgroup"
mkdir "$beside/cgroup/$group"
echo 0 >"$beside/cgroup/$group/cgroup.procs"
umount "$beside/cgroup"
exec unshare --pid --mount --uts --ipc --cgroup --fork --kill-child sh -euc '
    cd "$0"
    mount -t proc proc proc
    mount --bind -o ro proc/sys proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 none sys/fs/cgroup
    mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf sys/fs/bpf
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    mkdir dev/shm dev/pts
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    mknod -m 666 dev/null c 1 3
    mknod -m 666 dev/zero c 1 5
    mknod -m 666 dev/full c 1 7
    mknod -m 666 dev/random c 1 8
    mknod -m 666 dev/urandom c 1 9
    mknod -m 666 dev/tty c 5 0
    pivot_root . mnt
    exec chroot . sh -euc "umount -l /mnt; exec env -i container=package-tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --log-target=null --show-status=no"
' "$root"
"#;

/// Removes the control groups that were made.
const END: &str = r#"
mount --make-rprivate /
mount -t cgroup2 none "$1/cgroup"
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    find "$1/cgroup/$2" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ -d "$1/cgroup/$2" ] || exit 0
    sleep 0.1
done
exit 1
"#;

/// The running system.
pub(crate) struct Guest<'a> {
    root: &'a Root,
    child: Child,
    group: String,
}

impl<'a> Guest<'a> {
    /// Starts the system in the host's namespace of the network, and waits until it is up.
    pub(crate) fn start(root: &'a Root, network: &Network) -> Result<Self> {
        let name = root.beside().file_name().context("a folder has a name")?;
        let group = name.display().to_string();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", BEGIN, "begin"])
            .args([root.path().as_path(), root.beside()])
            .arg(&group)
            .stdin(Stdio::null());
        let guest = Self {
            child: network.host.spawn(&mut command)?,
            root,
            group,
        };
        wait_until("the Debian system is up", || {
            let state = guest
                .pid()
                .map(|_| guest.run(&["systemctl", "is-active", "multi-user.target"]));
            Ok(state.transpose()?.is_some_and(|said| said == "active\n"))
        })?;
        Ok(guest)
    }

    /// The process that is process 1 inside.
    fn pid(&self) -> Option<String> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let pid = children.split_whitespace().next()?.to_owned();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name == "systemd\n").then_some(pid)
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        let pid = self.pid().context("the Debian system has ended")?;
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &pid])
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
            ])
            .args([
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C",
            ])
            .arg("DEBIAN_FRONTEND=noninteractive")
            .args(words)
            .stdin(Stdio::null());
        Ok(command.output()?)
    }

    /// Runs a command inside, and returns what it wrote to stdout, whether it succeeded or not.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        Ok(String::from_utf8(self.output(words)?.stdout)?)
    }

    /// Runs a command inside that must succeed.
    pub(crate) fn must(&self, words: &[&str]) -> Result<String> {
        let output = self.output(words)?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr),
        );
        ensure!(
            output.status.success(),
            "`{}` failed: {}\n{out}{err}",
            words.join(" "),
            output.status
        );
        Ok(out)
    }

    /// The state and the log of the service.
    pub(crate) fn log(&self) -> String {
        let asked = [
            &["systemctl", "status", "--lines=0", "--no-pager", "firewall"][..],
            &[
                "journalctl",
                "--no-pager",
                "--output",
                "cat",
                "--unit",
                "firewall",
            ],
        ];
        let answers = asked.map(|words| {
            self.run(words)
                .unwrap_or_else(|error| format!("{error:#}\n"))
        });
        answers.concat()
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // The kernel kills everything in the namespace of processes with its first.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut end = Command::new("unshare");
        end.args(["--mount", "sh", "-c", END, "end"]);
        let _ = end.arg(self.root.beside()).arg(&self.group).status();
    }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !is_so()? {
        if begin.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} until {what}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
