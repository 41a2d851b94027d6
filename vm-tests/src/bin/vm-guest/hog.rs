//! A process that takes the machine's memory.

use std::{
    convert::Infallible,
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::firewall::wait_until;

/// The argument that makes this program take memory.
pub(crate) const HOG: &str = "hog";

/// The number of bytes taken at a time.
const STEP: usize = 256 << 10;

/// The time between two checks whether more memory is available.
const PAUSE: Duration = Duration::from_millis(20);

/// The memory that the kernel keeps for itself, in KiB.
const RESERVE: u64 = 4_096;

/// The number of consecutive checks that must find nothing left, because the kernel frees some
/// memory only after a grace period.
const LOOKS: u32 = 20;

/// The file that makes the kernel drop its caches of files and names.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Memory that is taken, until this value is dropped.
pub(crate) struct Hog(Child);

impl Hog {
    /// Takes memory until fewer than `bytes` bytes are left.
    pub(crate) fn leaving_less_than(bytes: u32) -> Result<Self> {
        let left = RESERVE + u64::from(bytes / 4) / 1024;
        // Without the memory reserved by the kernel, all free memory is available to any process.
        for (file, text) in [
            ("lowmem_reserve_ratio", "0 0 0 0\n".to_owned()),
            ("min_free_kbytes", RESERVE.to_string()),
        ] {
            let path = format!("/proc/sys/vm/{file}");
            fs::write(&path, text).with_context(|| format!("cannot write `{path}`"))?;
        }
        let mut hog = Self::start(left)?;
        let mut looks = 0;
        wait_until("the memory is taken", || {
            if let Some(status) = hog.0.try_wait()? {
                // The kernel kills it when another process asks for memory just then.
                if status.signal() != Some(Signal::SIGKILL as i32) {
                    bail!("what takes memory ended with {status}");
                }
                hog = Self::start(left)?;
                looks = 0;
            }
            fs::write(DROP_CACHES, "3").context("cannot drop caches")?;
            looks = if free()? <= left { looks + 1 } else { 0 };
            Ok(looks >= LOOKS)
        })?;
        // If it continued while the kernel is short of memory, the kernel would kill it.
        let process = Pid::from_raw(i32::try_from(hog.0.id())?);
        kill(process, Signal::SIGSTOP).context("cannot stop what takes memory")?;
        Ok(hog)
    }

    fn start(left: u64) -> Result<Self> {
        let child = Command::new("/init").args([HOG, &left.to_string()]).spawn();
        Ok(Self(
            child.context("cannot start a process that takes memory")?,
        ))
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes memory until only the given number of KiB is left, and keeps it at that.
pub(crate) fn fill(arguments: &[String]) -> Result<Infallible> {
    // If memory runs out, this is the process to kill.
    fs::write("/proc/self/oom_score_adj", "1000")?;
    let left = arguments.first().context("how much is to be left?")?;
    let left: u64 = left.parse()?;
    let mut taken = Vec::new();
    loop {
        // Other processes release memory meanwhile.
        while free()? > left {
            taken.push(vec![1_u8; STEP]);
        }
        thread::sleep(PAUSE);
        // Keeps the memory allocated.
        std::hint::black_box(&taken);
    }
}

/// The free memory in KiB.
fn free() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read `/proc/meminfo`")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemFree:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.context("`/proc/meminfo` does not say what is free")
}
