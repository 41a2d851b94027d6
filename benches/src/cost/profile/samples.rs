//! `perf`, which samples the address at which a CPU is.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::cost::tool::{self, Guard};

/// Samples per second: not a divisor of the frequency of kernel timers.
const FREQUENCY: &str = "4999";

/// The timeout for its start.
const BEGINNING: Duration = Duration::from_millis(500);

/// Finds `perf`.
pub(super) fn find_perf() -> Result<PathBuf> {
    tool::find("perf", "linux-perf").map_err(anyhow::Error::msg)
}

/// A running recording.
pub(super) struct Recording {
    perf: PathBuf,
    folder: TempDir,
    process: Guard,
}

impl Recording {
    /// Starts to sample a CPU.
    pub(super) fn start(perf: &Path, cpu: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fw-bench-").tempdir()?;
        let process = Command::new(perf)
            .args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY])
            .args(["-C", &cpu.to_string()])
            .arg("-o")
            .arg(folder.path().join("samples"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run `perf`")?;
        thread::sleep(BEGINNING);
        Ok(Self {
            perf: perf.to_owned(),
            folder,
            process: Guard(process),
        })
    }

    /// Ends it, and returns the sampled addresses.
    pub(super) fn end(mut self) -> Result<Vec<u64>> {
        kill(
            Pid::from_raw(i32::try_from(self.process.0.id())?),
            Signal::SIGINT,
        )?;
        self.process.0.wait()?;
        let printed = Command::new(&self.perf)
            .args(["script", "-F", "ip", "-i"])
            .arg(self.folder.path().join("samples"))
            .stdin(Stdio::null())
            .output()
            .context("cannot run `perf`")?;
        ensure!(
            printed.status.success(),
            "`perf script` ended with {}: {}",
            printed.status,
            String::from_utf8_lossy(&printed.stderr).trim()
        );
        let text = String::from_utf8(printed.stdout)?;
        Ok(read_addresses(&text))
    }
}

/// The addresses that `perf script` prints, one a line.
fn read_addresses(text: &str) -> Vec<u64> {
    text.split_whitespace()
        .filter_map(|word| u64::from_str_radix(word, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let text = " ffffffffc0039c52\n     7f00deadbeef\n\n";
        assert_eq!(
            read_addresses(text),
            [0xffff_ffff_c003_9c52, 0x7f00_dead_beef]
        );
    }
}
