//! The `firewall` command, used as a user does.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use benches::{
    interrupt::Interrupt,
    network::Namespace,
    objects::{self, Object, ObjectKind},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The timeout for the firewall to put rules in force, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The path of the command, and its folders.
pub(crate) struct FirewallCommand<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) bpffs: &'a Path,
    pub(crate) run_dir: PathBuf,
    pub(crate) namespace: &'a Namespace,
}

/// A count of one rule or reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Count {
    /// The counts since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

/// The counts by the name of the rule or reason.
pub(crate) type Counts = BTreeMap<String, Count>;

impl FirewallCommand<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.binary);
        command
            // Use the built-in object file, even if a developer has set another.
            .env_remove("FIREWALL_OBJECT")
            // Nothing of it is for a later start.
            .env("FIREWALL_STATE_DIR", "")
            .arg("--bpffs")
            .arg(self.bpffs)
            .arg("--run-dir")
            .arg(&self.run_dir)
            .args(["--instance", "demo"])
            .stdin(Stdio::null());
        command
    }

    /// Starts `firewall apply` and waits until it answers.
    pub(crate) fn apply(&self, rules: &Path, interrupt: &Interrupt) -> Result<ApplyProcess<'_>> {
        let mut command = self.command();
        command
            .arg("apply")
            .arg(rules)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal must not reach it: this program ends it in the right order.
            .process_group(0);
        let mut child = self.namespace.spawn(&mut command)?;
        if let Some(stdout) = child.stdout.take() {
            quote(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            quote(stderr);
        }
        let mut daemon = ApplyProcess {
            firewall: self,
            child: Some(child),
        };
        let answer = interrupt.wait_for(PATIENCE, || {
            if let Some(status) = daemon.ended()? {
                bail!("`firewall apply` ended with {status}");
            }
            let status = self.status().ok();
            Ok(status.filter(|status| status.get("daemon").is_some_and(Value::is_object)))
        })?;
        answer.context("`firewall apply` does not answer `firewall status`")?;
        Ok(daemon)
    }

    /// The BPF objects that `firewall status` names.
    pub(crate) fn objects(&self) -> Result<BTreeSet<Object>> {
        let status = self.status()?;
        let id = |value: &Value| value.get("id")?.as_u64()?.try_into().ok();
        let maps = status.get("maps").and_then(Value::as_array);
        let program = status.get("program").and_then(id).map(|id| Object {
            kind: ObjectKind::Program,
            id,
        });
        let maps = maps.into_iter().flatten().filter_map(id).map(|id| Object {
            kind: ObjectKind::Map,
            id,
        });
        let objects: BTreeSet<_> = program.into_iter().chain(maps).collect();
        ensure!(
            [ObjectKind::Program, ObjectKind::Map]
                .iter()
                .all(|kind| objects.iter().any(|object| object.kind == *kind)),
            "`firewall status` names no program or no map: `{status}`"
        );
        Ok(objects)
    }

    /// Prints what `firewall status` prints.
    pub(crate) fn show_status(&self) -> Result<()> {
        for line in self.run(&["status"])?.lines() {
            println!("   | {line}");
        }
        println!();
        Ok(())
    }

    fn status(&self) -> Result<Value> {
        self.json(&["status", "--json"])
    }

    /// The output of `firewall counters`.
    pub(crate) fn counters(&self) -> Result<Counts> {
        read_counters(&self.json(&["counters", "--json"])?)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        serde_json::from_str(&self.run(arguments)?)
            .with_context(|| format!("`firewall {}` printed no JSON", arguments.join(" ")))
    }

    /// Runs a command of the firewall and hands back what it printed.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = self.namespace.spawn(&mut command)?.wait_with_output()?;
        ensure!(
            output.status.success(),
            "`firewall {}` ended with {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// A running `firewall apply`.
pub(crate) struct ApplyProcess<'a> {
    firewall: &'a FirewallCommand<'a>,
    child: Option<Child>,
}

impl ApplyProcess<'_> {
    /// Its process.
    pub(crate) fn process(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the firewall has ended")?.id())
    }

    /// The BPF objects that it holds now.
    pub(crate) fn objects(&self) -> Result<BTreeSet<Object>> {
        objects::of_process(self.process()?)
    }

    /// Makes it read its file again.
    pub(crate) fn hang_up(&self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    /// Terminates it, and waits for its end.
    pub(crate) fn terminate(mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait()?
            .ok_or_else(|| anyhow!("the firewall did not end within {PATIENCE:?} of SIGTERM"))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.process()?)?);
        kill(process, signal).with_context(|| format!("cannot send {signal} to the firewall"))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Waits for its end, even if this program is asked to end as well.
    fn wait(&mut self) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }
}

impl Drop for ApplyProcess<'_> {
    /// Terminates it gracefully, and kills it if that fails.
    fn drop(&mut self) {
        if self.child.is_none() || self.signal(Signal::SIGTERM).is_err() {
            return;
        }
        if let Ok(Some(_)) = self.wait() {
            return;
        }
        eprintln!("demo: the firewall does not end, and is killed");
        if let Some(child) = &mut self.child {
            // Leftovers are removed by `unload`, or else with the mount and the namespaces.
            let _ = child.kill().and_then(|()| child.wait());
        }
        let _ = self.firewall.run(&["unload"]);
    }
}

/// Prints the output of the firewall line by line, marked as such.
fn quote(stream: impl std::io::Read + Send + 'static) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            eprintln!("   firewall: {line}");
        }
    });
}

/// Reads `{"rules": [{"name", "packets", "bytes", ..}], "reasons": [..]}`.
fn read_counters(value: &Value) -> Result<Counts> {
    let mut counts = Counts::new();
    for key in ["rules", "reasons"] {
        let entries = value
            .get(key)
            .and_then(Value::as_array)
            .with_context(|| format!("the counters have no array `{key}`"))?;
        for entry in entries {
            let number = |key| entry.get(key).and_then(Value::as_u64);
            let name = entry.get("name").and_then(Value::as_str);
            let (Some(name), Some(packets), Some(bytes)) =
                (name, number("packets"), number("bytes"))
            else {
                bail!("a counter has no name, packets or bytes: `{entry}`");
            };
            let count = counts.entry(name.to_owned()).or_default();
            count.packets += packets;
            count.bytes += bytes;
        }
    }
    Ok(counts)
}
