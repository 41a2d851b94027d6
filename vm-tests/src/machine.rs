//! A virtual machine: starts, watches and ends it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use vm_tests::{
    report::{EXIT_PORT, End, Event},
    scenarios::Scenario,
};

use crate::{accelerator::Accelerator, store::Kernel};

const QEMU: &str = "qemu-system-x86_64";

/// The interval between two checks of a running guest.
const STEP: Duration = Duration::from_millis(50);

/// The system to boot.
#[derive(Clone, Copy)]
pub(crate) struct System<'a> {
    /// How QEMU runs the guest's code.
    pub(crate) accelerator: Accelerator,
    /// The kernel.
    pub(crate) kernel: &'a Kernel,
    /// The file of its initial file system.
    pub(crate) image: &'a Path,
    /// Where the files of guests are kept.
    pub(crate) folder: &'a Path,
}

/// The hardware of a guest, and its arguments.
pub(crate) struct Guest {
    /// The name of its files.
    pub(crate) name: &'static str,
    /// The number of its CPUs.
    pub(crate) cpus: u32,
    /// Its memory in MiB.
    pub(crate) memory: u64,
    /// Arguments of QEMU for its devices.
    pub(crate) devices: Vec<String>,
    /// The arguments of its process 1.
    pub(crate) arguments: Vec<String>,
}

/// The result of a guest.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The events that it reported.
    pub(crate) events: Vec<Event>,
    /// How it ended, if it ended properly.
    pub(crate) end: Option<End>,
    /// Why it did not end properly; `None` if it did.
    pub(crate) fault: Option<String>,
    /// The duration of its run in seconds.
    pub(crate) seconds: f64,
    /// The file with the output of its console.
    pub(crate) console: PathBuf,
}

impl Ended {
    /// The scenario that began and did not end.
    pub(crate) fn unfinished(&self) -> Option<Scenario> {
        running(&self.events)
    }
}

/// Checks that QEMU is installed.
pub(crate) fn require_qemu() -> Result<()> {
    let help = "is missing; run `apt-get install --no-install-recommends qemu-system-x86` as root";
    Command::new(QEMU)
        .arg("--version")
        .output()
        .with_context(|| format!("`{QEMU}` {help}"))
        .map(drop)
}

/// A running guest, killed with this value.
pub(crate) struct Machine {
    child: Child,
    begin: Instant,
    outputs: Outputs,
}

/// The files that QEMU writes for a guest.
struct Outputs {
    console: PathBuf,
    report: PathBuf,
    messages: PathBuf,
}

impl Machine {
    /// Boots a guest.
    pub(crate) fn start(system: System<'_>, guest: &Guest) -> Result<Self> {
        let file = |kind: &str| system.folder.join(format!("{}.{kind}", guest.name));
        let outputs = Outputs {
            console: file("console.log"),
            report: file("report.jsonl"),
            messages: file("qemu.log"),
        };
        for old in [&outputs.console, &outputs.report] {
            fs::write(old, "").with_context(|| format!("cannot write `{}`", old.display()))?;
        }
        let accelerator = system.accelerator;
        let port = format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1");
        // A panic reboots at once, and a reboot ends QEMU. On a busy machine, an emulated timer is
        // late, which kernels mistake for a broken one unless the check is disabled; likewise, a
        // CPU that had to wait is not a fault.
        let line = format!(
            "console=ttyS0 quiet panic=-1 no_timer_check nowatchdog \
             rcupdate.rcu_cpu_stall_suppress=1 -- {}",
            guest.arguments.join(" ")
        );
        // A guest does not outlive this process, however it ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", QEMU])
            .args(["-machine", "q35", "-accel", accelerator.option()])
            .args(["-cpu", accelerator.cpu()])
            .args(["-smp", &guest.cpus.to_string()])
            .args(["-m", &guest.memory.to_string()])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-device", &port])
            .arg("-serial")
            .arg(format!("file:{}", escaped(&outputs.console)))
            .arg("-serial")
            .arg(format!("file:{}", escaped(&outputs.report)))
            .args(&guest.devices)
            .arg("-kernel")
            .arg(&system.kernel.image)
            .arg("-initrd")
            .arg(system.image)
            .args(["-append", &line])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&outputs.messages).context("cannot create the log of QEMU")?);
        let child = command
            .spawn()
            .context("cannot start `setpriv`, which starts QEMU; Debian has it in `util-linux`")?;
        Ok(Self {
            child,
            begin: Instant::now(),
            outputs,
        })
    }

    /// Waits for the end, and kills the guest if it takes too long.
    pub(crate) fn wait(mut self, timeout: Duration) -> Result<Ended> {
        let (end, fault) = loop {
            if let Some(status) = self.child.try_wait()? {
                break match status.code().and_then(End::of_status) {
                    Some(end) => (Some(end), None),
                    None => (None, Some(fault(status))),
                };
            }
            if self.begin.elapsed() > timeout {
                let fault = format!("stopped after {} seconds", timeout.as_secs());
                break (None, Some(fault));
            }
            thread::sleep(STEP);
        };
        Ok(Ended {
            events: self.events()?,
            end,
            fault: fault.map(|fault| self.explain(&fault)),
            seconds: self.begin.elapsed().as_secs_f64(),
            console: self.outputs.console.clone(),
        })
    }

    /// Waits until a scenario runs; returns how long the guest has run by then.
    pub(crate) fn await_scenario(&mut self, timeout: Duration) -> Result<Duration> {
        while running(&self.events()?).is_none() {
            if let Some(fault) = self.ended_early()? {
                bail!("no scenario began: {fault}");
            }
            let age = self.begin.elapsed();
            ensure!(age < timeout, "no scenario began within {timeout:?}");
            thread::sleep(STEP);
        }
        Ok(self.begin.elapsed())
    }

    /// The process of QEMU.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What the guest has reported so far.
    fn events(&self) -> Result<Vec<Event>> {
        let report = fs::read(&self.outputs.report).context("cannot read the report")?;
        let report = String::from_utf8_lossy(&report);
        let lines = report.lines().map(str::trim_end);
        Ok(lines.filter_map(Event::from_line).collect())
    }

    /// The reason why it has ended, if it already has.
    pub(crate) fn ended_early(&mut self) -> Result<Option<String>> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| self.explain(&fault(status))))
    }

    /// Adds the messages of the kernel or QEMU about a fault.
    fn explain(&self, fault: &str) -> String {
        let read = |path| fs::read(path).unwrap_or_default();
        let console = read(&self.outputs.console);
        let console = String::from_utf8_lossy(&console);
        let said = read(&self.outputs.messages);
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
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It may have ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The scenario that began and has not ended.
fn running(events: &[Event]) -> Option<Scenario> {
    let mut running = None;
    for event in events {
        match event {
            Event::Began { scenario } => running = Some(*scenario),
            Event::Ended { .. } => running = None,
            Event::Booted { .. } | Event::Verified { .. } => {}
        }
    }
    running
}

fn fault(status: ExitStatus) -> String {
    match status.code() {
        Some(0) => "the guest died".into(),
        Some(_) | None => format!("QEMU ended with {status}"),
    }
}

/// A path as part of a QEMU option, in which a comma ends a value and two commas stand for one.
pub(crate) fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
