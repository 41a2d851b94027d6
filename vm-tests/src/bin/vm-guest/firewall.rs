//! The `firewall` command of the guest, run as a user runs it.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use benches::{network::Namespace, traffic::Sent};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The binary in the guest.
pub(crate) const BINARY: &str = "/bin/firewall";

/// Where the daemons write their log.
const LOG: &str = "/tmp/firewall.log";

/// The timeout for any step: an emulated machine may be a hundred times slower than a real one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The minimum interval between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// Packets and bytes.
pub(crate) type Count = (u64, u64);

/// The packets and bytes sent in each flow.
pub(crate) fn counts(sent: &Sent) -> Vec<Count> {
    let packets = sent.packets.iter().copied();
    packets.zip(sent.bytes.iter().copied()).collect()
}

/// Runs the command in a namespace.
pub(crate) struct Firewall<'a> {
    pub(crate) namespace: &'a Namespace,
}

/// A daemon, killed with this value.
pub(crate) struct Daemon(Child);

impl Firewall<'_> {
    /// Runs the command to its end.
    pub(crate) fn output<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Output> {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.namespace.spawn(&mut command)?;
        let process = Pid::from_raw(i32::try_from(child.id())?);
        // A command that should fail but does not may run forever.
        let (ended, ends) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            let is_late = ends.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            is_late && kill(process, Signal::SIGKILL).is_ok()
        });
        let output = child.wait_with_output();
        drop(ended);
        let was_killed = watch.join().is_ok_and(|was_killed| was_killed);
        ensure!(!was_killed, "`{command:?}` did not end in {PATIENCE:?}");
        output.context("cannot wait for `firewall`")
    }

    /// Runs the command to its end, which must succeed; returns its standard output.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        ensure!(
            output.status.success(),
            "`firewall {}` failed: {}",
            arguments.join(" "),
            text(&output.stderr)
        );
        Ok(text(&output.stdout))
    }

    /// Runs the command to its end, which must fail with this text in its message.
    pub(crate) fn refuse(&self, arguments: &[&str], message: &str) -> Result<()> {
        self.refuse_with(1, arguments, message)
    }

    /// The same with another exit status.
    pub(crate) fn refuse_with(&self, status: i32, arguments: &[&str], message: &str) -> Result<()> {
        let output = self.output(arguments)?;
        let said = text(&output.stderr);
        ensure!(
            output.status.code() == Some(status) && said.contains(message),
            "`firewall {}` was to fail with `{message}`, but ended with {} and said: {said}",
            arguments.join(" "),
            output.status
        );
        Ok(())
    }

    /// Starts the daemon, and waits until its rules are in force.
    pub(crate) fn apply(&self, rules: &Path) -> Result<Daemon> {
        let log = File::create(LOG).with_context(|| format!("cannot create `{LOG}`"))?;
        let mut command = Command::new(BINARY);
        command
            .arg("apply")
            .arg(rules)
            // Each scenario has rules of its own.
            .env("FIREWALL_STATE_DIR", "")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut daemon = Daemon(self.namespace.spawn(&mut command)?);
        let process = daemon.0.id();
        let in_force = wait_until("the rules are in force", || {
            if let Some(status) = daemon.0.try_wait()? {
                bail!("`firewall apply` ended with {status}");
            }
            let output = self.output(["status", "--json"])?;
            Ok(output.status.success() && {
                let its = &json(&text(&output.stdout))?["daemon"];
                its["pid"] == process && its["generation"].is_u64()
            })
        });
        in_force.map_err(|error| with_log(&error))?;
        Ok(daemon)
    }

    /// The output of `status --json`.
    pub(crate) fn status(&self) -> Result<Value> {
        self.json(&["status"])
    }

    /// The output of a command with `--json`.
    pub(crate) fn json(&self, command: &[&str]) -> Result<Value> {
        json(&self.run(&[command, &["--json"]].concat())?)
    }

    /// The number of the generation in force.
    pub(crate) fn generation(&self) -> Result<u64> {
        let status = self.status()?;
        let generation = status["generation"].as_u64();
        generation.with_context(|| format!("there is no generation in {status}"))
    }

    /// The counters of rules and reasons that are not 0, a reason's of both verdicts together.
    pub(crate) fn counters(&self) -> Result<BTreeMap<String, Count>> {
        let counters = self.json(&["counters"])?;
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for row in ["rules", "reasons"]
            .iter()
            .filter_map(|key| counters[key].as_array())
            .flatten()
        {
            let number = |key: &str| row[key].as_u64();
            let count = number("packets").zip(number("bytes"));
            let (count, name) = count
                .zip(row["name"].as_str())
                .with_context(|| format!("this is no counter: {row}"))?;
            if count != (0, 0) {
                let sum = counts.entry(name.to_owned()).or_default();
                *sum = (sum.0 + count.0, sum.1 + count.1);
            }
        }
        Ok(counts)
    }
}

impl Daemon {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.0.id())?);
        kill(process, signal).with_context(|| format!("cannot send {signal}"))
    }

    /// Kills it; its objects in the kernel remain.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Waits until it ends, which must be with success.
    pub(crate) fn wait(mut self) -> Result<()> {
        let mut ended = None;
        wait_until("the daemon ends", || {
            ended = self.0.try_wait()?;
            Ok(ended.is_some())
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            _ => Err(with_log(&anyhow!("the daemon ended with {ended:?}"))),
        }
    }
}

impl Drop for Daemon {
    /// Kills it if a scenario fails; the machine is cleaned up afterwards.
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    loop {
        let look = Instant::now();
        if is_so()? {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < PATIENCE,
            "waited {PATIENCE:?} until {what}"
        );
        // On a machine with one CPU, checking takes time from the work that is awaited.
        thread::sleep(PAUSE.max(look.elapsed() * 3));
    }
}

/// The log since the last daemon was started.
pub(crate) fn log() -> String {
    std::fs::read_to_string(LOG).unwrap_or_default()
}

/// An error with what the last daemon has logged.
fn with_log(error: &anyhow::Error) -> anyhow::Error {
    anyhow!("{error:#}; its log: {}", log().trim_end())
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("this is no JSON: {text}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
