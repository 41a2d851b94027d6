//! Commands of other firewalls.

use std::{
    fs,
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use super::{loading::Loading, site::Site};
use crate::{network::Namespace, tools};

/// The interval between two checks whether the command has ended.
const STEP: Duration = Duration::from_millis(2);

/// A command that takes too long.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{command}` takes more than {} seconds", patience.as_secs())]
pub(super) struct TooSlow {
    command: String,
    patience: Duration,
}

impl TooSlow {
    pub(super) fn new(command: &str, patience: Duration) -> Self {
        Self {
            command: command.to_owned(),
            patience,
        }
    }
}

/// The reason why only `firewall` takes part in the case of a rule file.
pub(super) const NO_FILE: &str = "it is a rule file of `firewall`";

/// The maximum number of rules for a firewall that tests one after the other: its cost is known to
/// grow with their number.
const MAX_LINEAR: usize = 10_000;

/// Checks whether such a firewall takes part with this number of rules; the error is the reason if
/// not.
pub(super) fn check_linear(rules: usize) -> Result<(), String> {
    if rules > MAX_LINEAR {
        return Err(format!(
            "it looks at one rule after the other; left out above {MAX_LINEAR}"
        ));
    }
    Ok(())
}

/// Finds a command; the error is the reason why it cannot be used.
pub(super) fn find(command: &str, package: &str) -> Result<PathBuf, String> {
    tools::find(command).ok_or_else(|| {
        format!("there is no `{command}` here; Debian has it in the package `{package}`")
    })
}

/// Runs a command in a namespace to its end and returns its output.
pub(super) fn run(
    namespace: &Namespace,
    command: &Path,
    arguments: &[&str],
    input: &str,
    site: &Site,
) -> Result<String> {
    let ended = end(namespace, command, arguments, input, site)?;
    ensure!(
        ended.status.success(),
        "`{} {}` ended with {}: {}",
        command.display(),
        arguments.join(" "),
        ended.status,
        ended
            .complaint
            .lines()
            .take(5)
            .collect::<Vec<_>>()
            .join("; ")
    );
    Ok(ended.output)
}

/// The exit status and output of a command.
struct Ended {
    status: ExitStatus,
    output: String,
    complaint: String,
}

fn end(
    namespace: &Namespace,
    command: &Path,
    arguments: &[&str],
    input: &str,
    site: &Site,
) -> Result<Ended> {
    let mut given = tempfile::tempfile()?;
    given.write_all(input.as_bytes())?;
    given.rewind()?;
    let mut printed = tempfile::tempfile()?;
    let mut complaints = tempfile::tempfile()?;
    let mut process = Command::new(command);
    process
        .args(arguments)
        .stdin(Stdio::from(given))
        .stdout(Stdio::from(printed.try_clone()?))
        .stderr(Stdio::from(complaints.try_clone()?));
    let mut child = Guard(namespace.spawn(&mut process)?);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        site.interrupt.check()?;
        let name = || command.file_name().unwrap_or_default().to_string_lossy();
        ensure!(
            began.elapsed() < site.patience,
            TooSlow::new(&name(), site.patience)
        );
        thread::sleep(STEP);
    };
    let [output, complaint] = [&mut printed, &mut complaints].map(|file| {
        let mut text = String::new();
        file.rewind()
            .and_then(|()| file.read_to_string(&mut text))?;
        anyhow::Ok(text)
    });
    Ok(Ended {
        status,
        output: output?,
        complaint: complaint?,
    })
}

/// The first line that a command prints about its version. Its exit status is ignored: some print
/// the version and fail.
pub(super) fn version(
    namespace: &Namespace,
    command: &Path,
    arguments: &[&str],
    site: &Site,
) -> Result<String> {
    let ended = end(namespace, command, arguments, "", site)?;
    let line = ended.output.lines().next().unwrap_or_default().trim();
    ensure!(
        !line.is_empty(),
        "`{}` does not say its version",
        command.display()
    );
    Ok(line.to_owned())
}

/// Measures `load`, including the CPU time of the processes for which it waited.
pub(super) fn loading<T>(load: impl FnOnce() -> Result<T>) -> Result<(Loading, T)> {
    let before = kernel_memory()?;
    let cpu_before = cpu_seconds()?;
    let began = Instant::now();
    let result = load()?;
    let loading = Loading {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds()? - cpu_before,
        kernel_bytes: kernel_memory()?.saturating_sub(before),
        image: None,
    };
    Ok((loading, result))
}

/// The CPU time of all processes that this one has waited for.
fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = usage.user_time() + usage.system_time();
    Ok(time.num_microseconds() as f64 / 1e6)
}

/// The memory that the kernel has allocated for itself, in bytes.
fn kernel_memory() -> Result<u64> {
    const KINDS: [&str; 3] = ["SUnreclaim:", "VmallocUsed:", "Percpu:"];
    let text = fs::read_to_string("/proc/meminfo").context("cannot read `/proc/meminfo`")?;
    let kilobytes = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_wanted = KINDS.contains(&words.next()?);
        is_wanted.then(|| words.next()?.parse::<u64>().ok())?
    });
    Ok(kilobytes.sum::<u64>() * 1024)
}

/// A process that is killed when the value is dropped.
pub(super) struct Guard(pub(super) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // It may have ended already.
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }
}
