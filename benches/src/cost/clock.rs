//! CPU time on one CPU, without the work of other processes.
//!
//! A measurement runs on a thread that is bound to one CPU. The softirqs that it causes run on the
//! same CPU, mostly within the thread's own time, otherwise in that CPU's ksoftirqd. So the time
//! spent is the wall time, less the time for which the thread waited for the CPU, plus what
//! ksoftirqd used (`/proc/PID/schedstat`, `Documentation/scheduler/sched-stats.rst`). This holds
//! whether or not the kernel accounts interrupts separately (`CONFIG_IRQ_TIME_ACCOUNTING`).

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The scheduler's account of the calling thread.
const OWN: &str = "/proc/thread-self/schedstat";

/// Takes the time on one CPU.
#[derive(Clone, Debug)]
pub struct Clock {
    cpu: usize,
    /// The scheduler's account of the CPU's ksoftirqd.
    ksoftirqd: PathBuf,
}

impl Clock {
    /// Chooses a CPU.
    ///
    /// # Errors
    ///
    /// If there is no such CPU, or the kernel keeps no account of its threads
    /// (`CONFIG_SCHED_INFO`).
    pub fn new(cpu: usize) -> Result<Self> {
        let clock = Self {
            cpu,
            ksoftirqd: ksoftirqd(cpu)?.join("schedstat"),
        };
        Account::read(Path::new(OWN))?;
        Account::read(&clock.ksoftirqd)?;
        Ok(clock)
    }

    /// The CPU.
    #[must_use]
    pub const fn cpu(&self) -> usize {
        self.cpu
    }

    /// Binds the calling thread to the CPU, runs `work` and returns the CPU time used.
    ///
    /// # Errors
    ///
    /// If the thread cannot be bound, or `work` fails.
    pub fn time<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
        let mut cpus = CpuSet::new();
        cpus.set(self.cpu)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)
            .with_context(|| format!("cannot bind a thread to CPU {}", self.cpu))?;
        let own = Account::read(Path::new(OWN))?;
        let softirqs = Account::read(&self.ksoftirqd)?;
        let began = Instant::now();
        let result = work()?;
        let wall = began.elapsed();
        let waited = Account::read(Path::new(OWN))?.waited - own.waited;
        let softirqs = Account::read(&self.ksoftirqd)?.ran - softirqs.ran;
        let time = wall.saturating_sub(waited) + softirqs;
        Ok((time, result))
    }
}

/// The time that a thread ran, and the time that it waited for a CPU.
struct Account {
    ran: Duration,
    waited: Duration,
}

impl Account {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let (Some(Ok(ran)), Some(Ok(waited))) = (numbers.next(), numbers.next()) else {
            anyhow::bail!("`{}` is not understood: `{text}`", path.display());
        };
        Ok(Self {
            ran: Duration::from_nanos(ran),
            waited: Duration::from_nanos(waited),
        })
    }
}

/// The folder of the thread that takes over softirqs when there are many.
fn ksoftirqd(cpu: usize) -> Result<PathBuf> {
    let name = format!("ksoftirqd/{cpu}\n");
    for entry in fs::read_dir("/proc").context("cannot read `/proc`")? {
        let folder = entry?.path();
        if fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm == name) {
            return Ok(folder);
        }
    }
    anyhow::bail!("there is no CPU {cpu}: no thread `{}`", name.trim_end());
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn time_that_passes_asleep_is_not_lost() {
        let clock = Clock::new(0).unwrap();
        let (time, answer) = thread::spawn(move || {
            clock.time(|| {
                thread::sleep(Duration::from_millis(20));
                Ok(7)
            })
        })
        .join()
        .unwrap()
        .unwrap();
        assert_eq!(answer, 7);
        assert!(time > Duration::from_millis(1));
    }

    #[test]
    fn there_is_no_cpu_far_up() {
        Clock::new(1 << 20).unwrap_err();
    }
}
