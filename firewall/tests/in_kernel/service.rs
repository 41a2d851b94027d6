//! The daemon as a service: what it tells the manager, and the unit with the real systemd, which runs as
//! process 1 of namespaces of its own, with folders and a control group of its own.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use benches::tools;
use nix::{
    sys::signal::Signal,
    time::{ClockId, clock_gettime},
};

use crate::{
    installation::make,
    machine::{Machine, Said, patience, wait_until},
    reload::{drop_port, udp},
};

/// Ten times the exposure that `systemd-analyze security` gives the unit: 0 is best, 100 worst.
const EXPOSURE: u32 = 34;

/// What a manager would be told, in order, each message as its lines.
struct Notified(UnixDatagram);

impl Notified {
    fn next(&self) -> BTreeMap<String, String> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).unwrap();
        let text = str::from_utf8(&message[..length]).unwrap();
        text.lines()
            .map(|line| line.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Waits for the message that has this key, and hands back the status told before it.
    fn until(&self, key: &str) -> (BTreeMap<String, String>, Option<String>) {
        let mut status = None;
        loop {
            let message = self.next();
            if message.contains_key(key) {
                return (message, status);
            }
            assert_eq!(message.keys().collect::<Vec<_>>(), ["STATUS"]);
            status = message.get("STATUS").cloned();
        }
    }
}

fn microseconds() -> u64 {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    u64::try_from(now.as_micros()).unwrap()
}

#[test]
#[ignore = "needs root"]
fn the_manager_is_told_when_rules_are_in_force_and_whatever_comes_of_a_reload() {
    let machine = Machine::new();
    let path = machine.folder.path().join("notify");
    let notified = Notified(UnixDatagram::bind(&path).unwrap());
    notified.0.set_read_timeout(Some(patience())).unwrap();
    let rules = machine.write_rules("pass", &drop_port("dns", 53));
    let mut command = machine.command(crate::machine::BINARY);
    command.arg("apply").arg(&rules).env("NOTIFY_SOCKET", &path);
    let mut daemon = machine.spawn(command);
    let (ready, status) = notified.until("READY");
    assert_eq!(ready["READY"], "1");
    assert_eq!(status.unwrap(), "generation 1 in force: 1 rule");
    // What it says is so.
    assert_eq!(machine.status()["generation"], 1);

    let reload = || {
        let before = microseconds();
        daemon.signal(Signal::SIGHUP);
        let (reloading, _) = notified.until("RELOADING");
        assert_eq!(reloading["RELOADING"], "1");
        let told: u64 = reloading["MONOTONIC_USEC"].parse().unwrap();
        assert!((before..=microseconds()).contains(&told));
        let (_, status) = notified.until("READY");
        status.unwrap()
    };
    machine.write_rules("pass", &(drop_port("dns", 53) + &drop_port("ntp", 123)));
    assert_eq!(reload(), "generation 2 in force: 2 rules");
    fs::write(&rules, "[firewal]\n").unwrap();
    let status = reload();
    assert!(
        status.ends_with("; generation 2 stays in force"),
        "{status}"
    );
    assert!(status.contains("rules.toml"), "{status}");
    machine.write_rules("pass", "");
    let said = machine.run(["apply", "--confirm", "1s", rules.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    let (_, status) = notified.until("RELOADING");
    assert_eq!(status, None);
    let (_, status) = notified.until("READY");
    assert_eq!(status.unwrap(), "generation 3 in force: 0 rules");
    // By itself.
    assert_eq!(notified.next()["STATUS"], "generation 4 in force: 2 rules");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(notified.next()["STOPPING"], "1");
    assert!(daemon.wait().success());
}

/// Makes folders and namespaces, and becomes systemd. It is given the folder of the test, whose `root` is
/// what was installed, and a name for the control group.
const BEGIN: &str = r#"
set -eu
folder=$1 group=$2
mount --make-rprivate /
mkdir "$folder/cgroup"
mount -t cgroup2 none "$folder/cgroup"
mkdir "$folder/cgroup/$group"
echo 0 >"$folder/cgroup/$group/cgroup.procs"
umount "$folder/cgroup"
exec unshare --pid --mount --uts --ipc --cgroup --fork --kill-child sh -euc '
    folder=$0
    mount -t proc proc /proc
    mount -o remount,ro,bind /proc/sys 2>/dev/null || mount --bind -o ro /proc/sys /proc/sys
    umount -R /sys/fs/cgroup 2>/dev/null || :
    mount -t cgroup2 none /sys/fs/cgroup
    mount -t bpf -o nosuid,nodev,noexec bpf /sys/fs/bpf
    mount -t overlay -o lowerdir="$folder/root/etc:/etc" none /etc
    mount -t tmpfs -o mode=755 none /etc/systemd/system
    mount --bind "$folder/root/etc/firewall" /etc/firewall
    mount --bind "$folder/root/usr/local" /usr/local
    mount --bind "$folder/run" /run
    mount --bind "$folder/lib" /var/lib
    mkdir -p /run/systemd/system/firewall.service.d
    printf "[Unit]\nDefaultDependencies=no\n" >/run/systemd/system/test.target
    printf "[Service]\nStandardError=append:/run/log\n" >/run/systemd/system/firewall.service.d/log.conf
    container=firewall-test exec /lib/systemd/systemd --system --unit=test.target --log-target=null \
        --show-status=no
' "$folder"
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

/// systemd, as process 1 of namespaces in which the firewall is installed.
struct Systemd<'m> {
    machine: &'m Machine,
    child: Child,
    group: String,
}

impl<'m> Systemd<'m> {
    /// Installs the firewall with the rule file given, and starts systemd.
    fn start(machine: &'m Machine, rules: &str) -> Self {
        assert!(
            fs::exists("/lib/systemd/systemd").unwrap(),
            "there is no systemd: run `make setup`"
        );
        let folder = machine.folder.path();
        let root = folder.join("root");
        fs::create_dir(&root).unwrap();
        fs::create_dir(folder.join("run")).unwrap();
        fs::create_dir(folder.join("lib")).unwrap();
        make("install", &root, &[]);
        fs::write(root.join("etc/firewall/rules.toml"), rules).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let group = format!("fw-systemd-{}", name.trim_matches('.'));
        let mut command = tools::command("unshare");
        command
            .args(["--mount", "sh", "-c", BEGIN, "begin"])
            .arg(folder)
            .arg(&group)
            .stdin(Stdio::null());
        let systemd = Self {
            child: machine.network.host.spawn(&mut command).unwrap(),
            machine,
            group,
        };
        wait_until("systemd runs", || {
            let said = systemd.pid().map(|_| systemd.ctl(&["is-system-running"]));
            said.is_some_and(|said| said.stdout == "running\n")
        });
        systemd
    }

    fn rules(&self) -> PathBuf {
        self.machine
            .folder
            .path()
            .join("root/etc/firewall/rules.toml")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.machine.folder.path().join("run/log")).unwrap_or_default()
    }

    /// The process that is process 1 inside.
    fn pid(&self) -> Option<String> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let pid = children.split_whitespace().next()?.to_owned();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name == "systemd\n").then_some(pid)
    }

    /// Runs a command inside.
    fn run(&self, words: &[&str]) -> Said {
        let pid = self.pid().unwrap();
        let mut command = tools::command("nsenter");
        command
            .args([
                "--target", &pid, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--",
            ])
            .args(words)
            .stdin(Stdio::null());
        self.machine.finish(command)
    }

    fn ctl(&self, words: &[&str]) -> Said {
        self.run(&[&["systemctl"], words].concat())
    }

    fn firewall(&self, words: &[&str]) -> Said {
        self.run(&[&["/usr/local/sbin/firewall"], words].concat())
    }

    /// Properties of the unit, in the order of their names.
    fn show<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let said = self.ctl(&["show", "firewall", "--property", &names.join(",")]);
        let found: BTreeMap<&str, &str> = said
            .stdout
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        names.map(|name| found[name].to_owned())
    }

    fn state(&self) -> String {
        let [active, sub] = self.show(["ActiveState", "SubState"]);
        format!("{active} {sub}")
    }

    fn main_process(&self) -> String {
        let [pid] = self.show(["MainPID"]);
        pid
    }

    fn generation(&self) -> String {
        let said = self.firewall(&["status", "--json"]);
        assert!(said.status.success(), "{said:?}");
        crate::machine::json(&said.stdout)["generation"].to_string()
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the log of the service\n{}---", self.log());
        }
        // The kernel kills everything in the namespace of processes with its first.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut end = tools::command("unshare");
        end.args(["--mount", "sh", "-c", END, "end"]);
        let _ = end
            .arg(self.machine.folder.path())
            .arg(&self.group)
            .status();
    }
}

#[test]
#[ignore = "needs root"]
fn systemd_starts_reloads_restarts_and_stops_the_service() {
    let machine = Machine::new();
    let rules = |rules: &str| {
        let interface = machine.interface();
        format!("[firewall]\ninterfaces = [\"{interface}\"]\n{rules}")
    };
    let systemd = Systemd::start(&machine, &rules(&drop_port("dns", 53)));
    let verified = systemd.run(&["systemd-analyze", "verify", "firewall.service"]);
    assert!(verified.status.success(), "{verified:?}");
    assert_eq!(verified.stderr, "");
    let threshold = EXPOSURE.to_string();
    let unit = "/usr/local/lib/systemd/system/firewall.service";
    let analysed = systemd.run(&[
        "systemd-analyze",
        "security",
        "--no-pager",
        "--offline=true",
        "--threshold",
        &threshold,
        unit,
    ]);
    assert!(analysed.status.success(), "{}", analysed.stdout);

    // It is started when its rules are in force, not before.
    let started = systemd.ctl(&["start", "firewall"]);
    assert!(started.status.success(), "{started:?}");
    assert_eq!(systemd.state(), "active running");
    assert!(machine.attached().is_some());
    assert_eq!(systemd.generation(), "1");
    let [status] = systemd.show(["StatusText"]);
    assert_eq!(status, "generation 1 in force: 1 rule");
    let packet = udp(&machine, 53);
    machine.send(&packet, 5);
    let counted = |packets: u64| {
        wait_until("the packets are counted", || {
            let said = systemd.firewall(&["counters", "--json"]);
            let counters = crate::machine::json(&said.stdout);
            counters["rules"][0]["packets"] == packets
        });
    };
    counted(5);
    let pid = systemd.main_process();
    let modes = systemd.run(&[
        "stat",
        "-c",
        "%a %u",
        "/run/firewall",
        "/run/firewall/default.sock",
    ]);
    assert_eq!(modes.stdout, "700 0\n600 0\n");

    // A reload is over when the new rules are in force.
    fs::write(
        systemd.rules(),
        rules(&(drop_port("dns", 53) + &drop_port("ntp", 123))),
    )
    .unwrap();
    let reloaded = systemd.ctl(&["reload", "firewall"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    assert_eq!(systemd.generation(), "2");

    // One that fails says so, and changes nothing.
    fs::write(systemd.rules(), "[firewal]\n").unwrap();
    let reloaded = systemd.ctl(&["reload", "firewall"]);
    assert!(!reloaded.status.success());
    assert_eq!(systemd.state(), "active running");
    assert_eq!(
        (systemd.main_process(), systemd.generation()),
        (pid.clone(), "2".into())
    );
    let [status] = systemd.show(["StatusText"]);
    assert!(
        status.ends_with("; generation 2 stays in force"),
        "{status}"
    );
    let log = systemd.log();
    assert!(log.contains("unknown key `firewal`"), "{log}");
    machine.send(&packet, 5);
    counted(10);

    // A signal does the same.
    fs::write(systemd.rules(), rules(&drop_port("dns", 53))).unwrap();
    assert!(systemd.run(&["kill", "-HUP", &pid]).status.success());
    wait_until("the third generation is in force", || {
        systemd.generation() == "3"
    });

    // A file from elsewhere, as somebody applies it over SSH.
    let other = machine.folder.path().join("run/other.toml");
    fs::write(&other, rules(&drop_port("other", 54))).unwrap();
    let applied = systemd.firewall(&["apply", "--confirm", "60s", "/run/other.toml"]);
    assert!(applied.status.success(), "{applied:?}");
    assert!(systemd.firewall(&["rollback"]).status.success());

    // Killed, it is started again by itself and takes over: nothing was detached meanwhile.
    let program = machine.attached();
    let killed = systemd.ctl(&["kill", "--signal", "SIGKILL", "firewall"]);
    assert!(killed.status.success(), "{killed:?}");
    wait_until("the service runs again", || {
        assert!(machine.attached().is_some());
        systemd.state() == "active running" && systemd.main_process() != pid
    });
    assert_ne!(machine.attached(), None);
    assert!(program.is_some());
    machine.send(&packet, 5);
    counted(15);
    assert!(systemd.ctl(&["reload", "firewall"]).status.success());

    // A restart leaves the rules in force for the next daemon.
    let pid = systemd.main_process();
    let program = machine.attached();
    let restart = thread::scope(|scope| {
        let restarting = scope.spawn(|| systemd.ctl(&["restart", "firewall"]));
        while !restarting.is_finished() {
            assert!(machine.attached().is_some());
        }
        restarting.join().unwrap()
    });
    assert!(restart.status.success(), "{restart:?}");
    assert_ne!(systemd.main_process(), pid);
    // The next daemon has loaded its own program.
    assert_ne!(machine.attached(), program);
    let log = systemd.log();
    assert!(!log.contains("unloaded"), "{log}");
    machine.send(&packet, 5);
    counted(20);

    // Stopped, it leaves nothing.
    let stopped = systemd.ctl(&["stop", "firewall"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(systemd.state(), "inactive dead");
    assert_eq!(machine.attached(), None);
    let left = systemd.run(&[
        "find",
        "/sys/fs/bpf",
        "-mindepth",
        "1",
        "-not",
        "-name",
        "*.debug",
    ]);
    assert_eq!(left.stdout, "");
    let log = systemd.log();
    let mut warnings = log.lines().filter(|line| line.contains("WARN"));
    assert!(
        warnings.all(|line| line.contains("waits for `firewall confirm`")),
        "{log}"
    );

    // A broken file does not leave the machine open: the last good rules are in force.
    fs::write(systemd.rules(), "[firewal]\n").unwrap();
    let started = systemd.ctl(&["start", "firewall"]);
    assert!(started.status.success(), "{started:?}");
    assert_eq!(systemd.state(), "active running");
    assert!(machine.attached().is_some());
    let [status] = systemd.show(["StatusText"]);
    assert!(status.starts_with("the last good rules, of "), "{status}");
    assert!(systemd.ctl(&["stop", "firewall"]).status.success());
    assert_eq!(machine.attached(), None);

    // What cannot begin has failed, at once and once.
    let state = machine.folder.path().join("lib/firewall/default");
    fs::remove_file(state.join("good.json")).unwrap();
    let started = systemd.ctl(&["start", "firewall"]);
    assert!(!started.status.success());
    assert_eq!(systemd.state(), "failed failed");
    let [restarts] = systemd.show(["NRestarts"]);
    assert_eq!(restarts, "0");
    assert_eq!(machine.attached(), None);
}
