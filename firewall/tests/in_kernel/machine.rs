//! A test machine: a network of its own, a BPF file system of its own, and the command.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use benches::{
    bpffs::BpfFs,
    network::Network,
    objects::{self, Object, ObjectKind},
    packet::Packet,
    tools,
    traffic::Sender,
};
use firewall::{Config, CounterSnapshot};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_firewall");

/// How long anything may take: builds without optimisation on a busy machine are slow, and emulated
/// machines are slower by far; they say so in seconds.
pub(crate) fn patience() -> Duration {
    const USUAL: u64 = 30;
    let told = std::env::var("FIREWALL_TEST_PATIENCE").ok();
    Duration::from_secs(told.map_or(USUAL, |seconds| seconds.parse().unwrap()))
}

/// How many times as long a test runs that may run for long: `FIREWALL_ROUNDS`.
pub(crate) fn rounds() -> u64 {
    let told = std::env::var("FIREWALL_ROUNDS").ok();
    told.map_or(1, |rounds| rounds.parse().unwrap())
}

/// Packets and bytes.
pub(crate) type Count = (u64, u64);

/// A machine with one or more interfaces to filter on.
pub(crate) struct Machine {
    pub(crate) network: Network,
    pub(crate) bpffs: BpfFs,
    pub(crate) folder: tempfile::TempDir,
    /// Whether daemons keep copies of their rules, which takes some steps on the disk.
    pub(crate) keeps: bool,
    sender: Mutex<Sender>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::with_links(1)
    }

    pub(crate) fn with_links(count: usize) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test loads programs into the kernel and needs root"
        );
        let network = Network::with_links(count).unwrap();
        let sender = Sender::open(&network.peer, &network.link().peer).unwrap();
        Self {
            sender: Mutex::new(sender),
            network,
            bpffs: BpfFs::mount().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            keeps: false,
        }
    }

    /// The name of the first interface.
    pub(crate) fn interface(&self) -> &str {
        &self.network.link().host.interface
    }

    /// Writes the rule file: `rules` below settings for the first interface.
    pub(crate) fn write_rules(&self, policy: &str, rules: &str) -> PathBuf {
        let interface = self.interface();
        self.write_file(&format!(
            "[firewall]\ninterfaces = [\"{interface}\"]\npolicy = \"{policy}\"\n{rules}"
        ))
    }

    /// Writes the rule file.
    pub(crate) fn write_file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The folder of the copies.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The folder of the pins.
    pub(crate) fn pins(&self) -> PathBuf {
        self.bpffs.path().join("firewall/test")
    }

    /// A tool, or the command under test by its path, with the places of this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = if program.contains('/') {
            Command::new(program)
        } else {
            tools::command(program)
        };
        command
            .env("FIREWALL_BPFFS", self.bpffs.path())
            .env("FIREWALL_RUN_DIR", self.run_folder())
            .env("FIREWALL_INSTANCE", "test")
            .env(
                "FIREWALL_STATE_DIR",
                if self.keeps {
                    self.state_folder()
                } else {
                    PathBuf::new()
                },
            )
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        let mut command = self.command(BINARY);
        command.args(arguments);
        self.finish(command)
    }

    pub(crate) fn finish(&self, mut command: Command) -> Said {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.network.host.spawn(&mut command).unwrap();
        said(child.wait_with_output().unwrap())
    }

    /// Starts the daemon with the rule file, and waits until the rules are in force.
    pub(crate) fn apply(&self, rules: &Path) -> Daemon<'_> {
        let daemon = self.start(rules);
        self.await_daemon(&daemon);
        daemon
    }

    /// Waits until the rules that a daemon was started with are in force.
    pub(crate) fn await_daemon(&self, daemon: &Daemon<'_>) {
        wait_until("the daemon has brought its rules into force", || {
            let status = self.run(["status", "--json"]);
            status.status.success() && {
                let its = &json(&status.stdout)["daemon"];
                its["pid"] == daemon.child.id() && its["generation"].is_u64()
            }
        });
    }

    /// Starts the daemon.
    pub(crate) fn start(&self, rules: &Path) -> Daemon<'_> {
        self.start_logging(rules, "info")
    }

    /// Like [`Self::start`], with what `FIREWALL_LOG` is to say.
    pub(crate) fn start_logging(&self, rules: &Path, filter: &str) -> Daemon<'_> {
        self.start_with(["apply", rules.to_str().unwrap()], filter)
    }

    /// Starts the command, which is to become the daemon.
    pub(crate) fn start_with<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        filter: &str,
    ) -> Daemon<'_> {
        let mut command = self.command(BINARY);
        command.args(arguments).env("FIREWALL_LOG", filter);
        self.spawn(command)
    }

    /// Starts a command that is, or has in it, the daemon.
    pub(crate) fn spawn(&self, mut command: Command) -> Daemon<'_> {
        let log = self.folder.path().join("log");
        let file = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        command.stdout(Stdio::null()).stderr(file);
        Daemon {
            child: self.network.host.spawn(&mut command).unwrap(),
            machine: self,
        }
    }

    /// Asks the daemon over its socket, in a line; its answer, or nothing when it dies meanwhile.
    pub(crate) fn order(&self, request: &str) -> String {
        let mut answer = String::new();
        let mut socket = UnixStream::connect(self.run_folder().join("test.sock")).unwrap();
        let asked = socket
            .write_all(request.as_bytes())
            .and_then(|()| socket.shutdown(Shutdown::Write))
            .and_then(|()| socket.read_to_string(&mut answer));
        // A daemon that dies is no failure here: who asks sees that there is no answer.
        asked.map_or_else(|_| String::new(), |_| answer)
    }

    /// What the daemons of this machine have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        let status = self.run(["status", "--json"]);
        assert!(status.status.success(), "{status:?}");
        json(&status.stdout)
    }

    /// This machine's firewall, for the library.
    pub(crate) fn config(&self) -> Config {
        let bpffs = self.bpffs.path().to_owned();
        Config::new(bpffs, &self.run_folder(), "test".to_owned())
    }

    /// The counters of rules and reasons that are not 0, a reason's of both verdicts together.
    pub(crate) fn counters(&self) -> BTreeMap<String, Count> {
        let counters = CounterSnapshot::read(&self.config()).unwrap();
        let rows = counters.rules.into_iter().chain(counters.reasons);
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for row in rows {
            let count = counts.entry(row.name).or_default();
            *count = (count.0 + row.count.packets, count.1 + row.count.bytes);
        }
        counts.retain(|_, count| *count != (0, 0));
        counts
    }

    /// Waits until the counters that are not 0 are these.
    pub(crate) fn await_counters(&self, expected: &[(&str, Count)]) {
        let expected: BTreeMap<String, Count> = expected
            .iter()
            .map(|&(name, count)| (name.to_owned(), count))
            .collect();
        let begin = Instant::now();
        loop {
            let counters = self.counters();
            if counters == expected {
                return;
            }
            assert!(
                begin.elapsed() < patience(),
                "counted {counters:?}, expected {expected:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a rule has counted as many packets.
    pub(crate) fn await_packets(&self, rule: &str, packets: u64) {
        let mut counted = 0;
        wait_until(&format!("`{rule}` has counted {packets} packets"), || {
            counted = self.counters().get(rule).map_or(0, |count| count.0);
            counted >= packets
        });
        assert_eq!(counted, packets, "{rule}");
    }

    /// Sends a packet from the peer, again and again; how long its frame is.
    pub(crate) fn send(&self, packet: &Packet, count: u64) -> u64 {
        let frame = self.network.link().to_host(packet.clone()).build();
        for _ in 0..count {
            self.send_frame(&frame);
        }
        frame.len() as u64
    }

    /// Sends a frame from the peer.
    pub(crate) fn send_frame(&self, frame: &[u8]) {
        self.sender.lock().unwrap().send(frame).unwrap();
    }

    /// The program on the first interface.
    pub(crate) fn attached(&self) -> Option<u32> {
        self.network.xdp_program(&self.network.link().host).unwrap()
    }

    /// The BPF objects that the pins and their daemon keep alive.
    pub(crate) fn objects(&self) -> BTreeSet<Object> {
        let status = self.status();
        let object = |kind, value: &Value| Object {
            kind,
            id: u32::try_from(value["id"].as_u64().unwrap()).unwrap(),
        };
        let maps = status["maps"].as_array().unwrap().iter();
        let at_hooks = status["traffic_control"].as_array().into_iter().flatten();
        let at_hooks = at_hooks.map(|at| object(ObjectKind::Program, &at["program"]));
        maps.map(|map| object(ObjectKind::Map, map))
            .chain([object(ObjectKind::Program, &status["program"])])
            .chain(at_hooks)
            .collect()
    }

    /// Checks that nothing of the instance is left, nor any of `objects` in the kernel.
    pub(crate) fn assert_nothing_left(&self, objects: &BTreeSet<Object>) {
        assert_eq!(self.attached(), None);
        assert_eq!(self.bpffs.pins().unwrap(), BTreeSet::new());
        assert!(!self.run_folder().exists());
        // The kernel frees objects a grace period after their last holder is gone.
        wait_until("the kernel frees every object", || {
            objects::all().unwrap().is_disjoint(objects)
        });
    }
}

/// A daemon, ended with this value.
pub(crate) struct Daemon<'a> {
    pub(crate) child: Child,
    machine: &'a Machine,
}

impl Daemon<'_> {
    /// Its resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(self.child.id(), "VmRSS") << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the daemon's end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Kills the daemon, which leaves what is in the kernel.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Without another panic, which would end the other tests too.
            let _ = self.child.kill();
            let _ = self.child.wait();
            eprintln!("--- the log of the daemon\n{}---", self.machine.log());
        } else if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::SIGTERM);
            self.wait();
        }
    }
}

/// A number of KiB in the status of a process (`proc_pid_status(5)`), such as `VmRSS` or `VmHWM`.
pub(crate) fn memory_of(process: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = value.unwrap().trim().strip_suffix(" kB");
    number.unwrap().parse().unwrap()
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < patience(),
            "waited {:?} until {what}",
            patience()
        );
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
