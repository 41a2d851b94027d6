//! Facts about the machine on which figures depend.

use std::{fs, thread, time::SystemTime};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Facts about the machine and the time of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of the CPUs.
    pub cpu: String,
    /// The number of CPUs that this process may use.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Seconds since 1970 in UTC.
    pub time: u64,
    /// The load average over one minute at the beginning.
    pub load_average: f64,
}

impl Machine {
    /// Reads the facts about this machine.
    ///
    /// # Errors
    ///
    /// If the kernel does not provide them.
    pub fn read() -> Result<Self> {
        let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read `{path}`"));
        let load = read("/proc/loadavg")?;
        let load = load.split_whitespace().next().map(str::parse);
        let memory = value(&read("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let memory = memory.split_whitespace().next().map(str::parse::<u64>);
        Ok(Self {
            cpu: value(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown".into()),
            cpus: thread::available_parallelism()?.get(),
            memory_bytes: memory.and_then(Result::ok).unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            time: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)?
                .as_secs(),
            load_average: load.and_then(Result::ok).unwrap_or(0.0),
        })
    }
}

/// The value of the first line `key: value`.
fn value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        let machine = Machine::read().unwrap();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0);
        assert!(machine.kernel.contains('.'));
    }
}
