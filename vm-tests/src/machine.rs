//! A virtual machine: started, watched, ended.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use vm_tests::{
    report::{EXIT_PORT, EXIT_STATUS, Event},
    scenarios::Scenario,
};

use crate::{accelerator::Accelerator, store::Kernel};

const QEMU: &str = "qemu-system-x86_64";

/// The memory of a guest in MiB.
pub(crate) const MEMORY: u64 = 1024;

/// How often a running guest is looked at.
const STEP: Duration = Duration::from_millis(50);

/// What every guest of a run shares.
pub(crate) struct Setup {
    /// How QEMU runs the guest's code.
    pub(crate) accelerator: Accelerator,
    /// What the guest is to do.
    pub(crate) scenarios: Vec<Scenario>,
    /// How long it may take.
    pub(crate) timeout: Duration,
}

/// What came of a guest.
pub(crate) struct Ended {
    /// What it reported.
    pub(crate) events: Vec<Event>,
    /// Why it did not come to its end; `None` when it did.
    pub(crate) fault: Option<String>,
    /// How long it ran.
    pub(crate) seconds: f64,
    /// What was written to its console.
    pub(crate) console: PathBuf,
}

/// Checks that QEMU is there.
pub(crate) fn require_qemu() -> Result<()> {
    let help = "is missing; run `apt-get install --no-install-recommends qemu-system-x86` as root";
    Command::new(QEMU)
        .arg("--version")
        .output()
        .with_context(|| format!("`{QEMU}` {help}"))
        .map(drop)
}

/// Boots a kernel with a file system and waits for its end; its files are kept in `folder`.
pub(crate) fn boot(
    setup: &Setup,
    kernel: &Kernel,
    file_system: &[u8],
    folder: &Path,
) -> Result<Ended> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let [console, report, image, messages] =
        ["console.log", "report.jsonl", "guest.cpio", "qemu.log"].map(|name| folder.join(name));
    fs::write(&image, file_system)
        .with_context(|| format!("cannot write `{}`", image.display()))?;
    for old in [&console, &report] {
        fs::write(old, "").with_context(|| format!("cannot write `{}`", old.display()))?;
    }
    let begin = Instant::now();
    let mut machine = Machine::start(setup, kernel, &image, &console, &report, &messages)?;
    let fault = machine.wait(setup.timeout)?;
    let seconds = begin.elapsed().as_secs_f64();
    fs::remove_file(&image)?;
    let report = fs::read(&report).context("cannot read the report")?;
    let events: Vec<Event> = String::from_utf8_lossy(&report)
        .lines()
        .filter_map(|line| Event::from_line(line.trim_end()))
        .collect();
    let fault = fault.map(|fault| explain(&fault, &console, &messages));
    Ok(Ended {
        events,
        fault,
        seconds,
        console,
    })
}

/// A running QEMU, killed with this value.
struct Machine(Child);

impl Machine {
    fn start(
        setup: &Setup,
        kernel: &Kernel,
        image: &Path,
        console: &Path,
        report: &Path,
        messages: &Path,
    ) -> Result<Self> {
        let names: Vec<&str> = setup.scenarios.iter().map(|one| one.name()).collect();
        let accelerator = setup.accelerator;
        let port = format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1");
        let memory = MEMORY.to_string();
        // A panic reboots at once, and a reboot ends QEMU. On a busy machine an emulated timer is
        // late, which kernels take for a broken one unless they are told not to look.
        let line = format!(
            "console=ttyS0 quiet panic=-1 no_timer_check -- {}",
            names.join(" ")
        );
        let mut command = Command::new(QEMU);
        command
            .args(["-machine", "q35", "-accel", accelerator.option()])
            .args(["-cpu", accelerator.cpu(), "-smp", "1", "-m", &memory])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-device", &port])
            .arg("-serial")
            .arg(file_option(console))
            .arg("-serial")
            .arg(file_option(report))
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(image)
            .args(["-append", &line])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(messages).context("cannot create the log of QEMU")?);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{QEMU}`"))?;
        Ok(Self(child))
    }

    /// Waits for the end; why it was not the end that every guest is to come to.
    fn wait(&mut self, timeout: Duration) -> Result<Option<String>> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(match status.code() {
                    Some(EXIT_STATUS) => None,
                    Some(0) => Some("the guest died".into()),
                    Some(_) | None => Some(format!("QEMU ended with {status}")),
                });
            }
            if begin.elapsed() > timeout {
                return Ok(Some(format!("stopped after {} seconds", timeout.as_secs())));
            }
            thread::sleep(STEP);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // It may have ended by itself meanwhile.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn file_option(path: &Path) -> String {
    // QEMU takes a comma for the end of the value, two for one comma.
    format!("file:{}", path.display().to_string().replace(',', ",,"))
}

/// Adds what the kernel or QEMU said of a fault.
fn explain(fault: &str, console: &Path, messages: &Path) -> String {
    let read = |path| fs::read(path).unwrap_or_default();
    let console = read(console);
    let console = String::from_utf8_lossy(&console);
    let said = read(messages);
    let said = String::from_utf8_lossy(&said);
    let telling = console
        .lines()
        .find(|line| line.contains("Kernel panic"))
        .or_else(|| said.lines().next_back());
    match telling {
        Some(line) => format!("{fault}: {}", line.trim()),
        None => fault.to_owned(),
    }
}
