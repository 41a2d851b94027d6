//! The action file for fail2ban, used by the real one on a real log file.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use benches::tools;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::machine::{BINARY, Machine, json, wait_until};

/// Where the program, its Python modules and its configuration are.
struct Fail2ban {
    server: PathBuf,
    modules: Option<PathBuf>,
    configuration: PathBuf,
}

impl Fail2ban {
    /// That of the system, or the one that `make setup` unpacks, which starts no service.
    fn find() -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/fail2ban");
        if tools.join("usr/bin/fail2ban-server").exists() {
            return Self {
                server: tools.join("usr/bin/fail2ban-server"),
                modules: Some(tools.join("usr/lib/python3/dist-packages")),
                configuration: tools.join("etc/fail2ban"),
            };
        }
        let server = PathBuf::from("/usr/bin/fail2ban-server");
        assert!(server.exists(), "there is no fail2ban: run `make setup`");
        Self {
            server,
            modules: None,
            configuration: "/etc/fail2ban".into(),
        }
    }
}

/// The server, ended with this value.
struct Server<'a>(Child, &'a Path);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["output", "fail2ban.log"] {
                let said = fs::read_to_string(self.1.join(name)).unwrap_or_default();
                eprintln!("--- {name} of fail2ban\n{said}---");
            }
        }
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    let status = tools::command("cp").arg("-rL").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

/// Writes what a person would write to have the jail `sshd` ban by this firewall.
fn configure(machine: &Machine, fail2ban: &Fail2ban) -> PathBuf {
    let folder = machine.folder.path();
    let configuration = folder.join("fail2ban");
    copy(&fail2ban.configuration, &configuration);
    let action =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/fail2ban/action.d/firewall.conf");
    copy(&action, &configuration.join("action.d"));
    let write = |name: &str, text: String| {
        fs::write(configuration.join(name), text).unwrap();
    };
    write(
        "action.d/firewall.local",
        format!(
            "[Init]\nfirewall = {BINARY} --bpffs {} --run-dir {} --instance test\n",
            machine.bpffs.path().display(),
            machine.run_folder().display()
        ),
    );
    write(
        "fail2ban.local",
        format!(
            "[Definition]\nlogtarget = {0}/fail2ban.log\nsocket = {0}/fail2ban.sock\n\
             pidfile = {0}/fail2ban.pid\ndbfile = None\n",
            folder.display()
        ),
    );
    write(
        "jail.local",
        format!(
            "[DEFAULT]\nbanaction = firewall\nbanaction_allports = firewall\nbantime = 4s\n\
             maxretry = 3\nbackend = polling\n\n\
             [sshd]\nenabled = true\nlogpath = {}/auth.log\n",
            folder.display()
        ),
    );
    configuration
}

#[test]
#[ignore = "needs root"]
fn fail2ban_bans_what_a_log_tells_of_until_its_time_is_over() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    let fail2ban = Fail2ban::find();
    let configuration = configure(&machine, &fail2ban);
    let folder = machine.folder.path();
    let mut log = File::create(folder.join("auth.log")).unwrap();
    let mut command = Command::new(&fail2ban.server);
    command.arg("-f").arg("-c").arg(configuration).arg("start");
    if let Some(modules) = &fail2ban.modules {
        command.env("PYTHONPATH", modules);
    }
    command.stdin(Stdio::null());
    for output in [Command::stdout, Command::stderr] {
        output(&mut command, File::create(folder.join("output")).unwrap());
    }
    let client = |words: &[&str]| {
        let mut command = Command::new(fail2ban.server.with_file_name("fail2ban-client"));
        command.arg("-c").arg(folder.join("fail2ban")).args(words);
        if let Some(modules) = &fail2ban.modules {
            command.env("PYTHONPATH", modules);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    let _server = Server(machine.network.host.spawn(&mut command).unwrap(), folder);
    let said = || fs::read_to_string(folder.join("fail2ban.log")).unwrap_or_default();
    wait_until("fail2ban watches the log", || {
        said().contains("Jail 'sshd' started")
    });

    let link = machine.network.link();
    let v4 = link.ipv4_from([203, 0, 113, 7].into()).udp(4000, 22);
    let v6 = link.ipv6_from("2001:db8::7".parse().unwrap()).udp(4000, 22);
    let beside = link.ipv4_from([203, 0, 113, 8].into()).udp(4000, 22);
    let send_all = || [&v4, &v6, &beside].map(|packet| machine.send(packet, 1));
    let [four, six, _] = send_all();
    machine.await_counters(&[("policy", (3, 2 * four + six))]);

    let now = tools::command("date").arg("+%b %e %T").output().unwrap();
    let now = String::from_utf8(now.stdout).unwrap();
    // A session is known by its process.
    for (source, process, failures) in [
        ("203.0.113.7", 4711, 3),
        ("2001:db8::7", 4712, 3),
        ("203.0.113.8", 4713, 2),
    ] {
        for port in 0..failures {
            writeln!(
                log,
                "{} host sshd[{process}]: Failed password for root from {source} port {} ssh2",
                now.trim_end(),
                40_000 + port
            )
            .unwrap();
        }
    }
    let bans = || json(&machine.run(["bans", "--json"]).stdout);
    wait_until("both are banned", || {
        bans()["bans"].as_array().unwrap().len() == 2
    });
    for ban in bans()["bans"].as_array().unwrap() {
        assert_eq!(ban["reason"], "sshd");
        assert!(ban["seconds_left"].as_u64().unwrap() <= 4, "{ban}");
    }
    send_all();
    let dropped = ("banned", (2, four + six));
    machine.await_counters(&[dropped, ("policy", (4, 3 * four + six))]);
    assert_eq!(bans()["reasons"][0]["packets"], 2);

    wait_until("the bans have ended", || {
        bans()["bans"].as_array().unwrap().is_empty()
    });
    send_all();
    machine.await_counters(&[dropped, ("policy", (7, 5 * four + 2 * six))]);
    wait_until("fail2ban has noticed it, too", || {
        said().matches("Unban").count() == 2
    });
    // One more is banned for long; a ban by hand is no business of the jail.
    assert!(machine.run(["ban", "198.51.100.1"]).status.success());
    client(&["set", "sshd", "bantime", "1h"]);
    client(&["set", "sshd", "banip", "203.0.113.9"]);
    let left = || {
        let bans = bans();
        let mut bans = bans["bans"].as_array().unwrap().iter();
        let ban = bans.find(|ban| ban["prefix"] == "203.0.113.9");
        ban.map(|ban| ban["seconds_left"].as_u64().unwrap())
    };
    wait_until("it is banned", || left().is_some());
    client(&["stop", "sshd"]);
    wait_until("the bans of the jail are removed", || left().is_none());
    let bans = bans();
    assert_eq!(bans["bans"].as_array().unwrap().len(), 1, "{bans}");
    assert!(!said().contains("ERROR"), "{}", said());
}
