//! The `firewall` command, used as a user does: starts, controls and ends it.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::MapData;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};
use rules::compiler::CompileError;
use serde::Deserialize;
use tempfile::TempDir;

use super::{
    case::LIST_FILE, expectation, loading::ImageFacts, site::Site, testbed::Testbed, tool,
    verdicts::Verdicts,
};
use crate::bpffs::BpfFs;

/// The timeout for its end.
const ENDING: Duration = Duration::from_secs(20);

/// The interval between two checks of a wait.
const STEP: Duration = Duration::from_millis(1);

const INSTANCE: &str = "bench";

/// The reasons under which packets are counted that no rule matches.
const UNMATCHED: [&str; 3] = ["policy", "neighbor", "unknown_ethertype"];

/// `firewall apply` on the host of a testbed, ended with the value.
pub(super) struct Daemon {
    binary: PathBuf,
    testbed: Arc<Testbed>,
    bpffs: BpfFs,
    folder: TempDir,
    site: Site,
    process: Option<Child>,
}

/// The log's figures about rules that were put in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// The time of the compiler.
    pub(super) compiled: Duration,
    /// The total time from the rule file to the switch.
    pub(super) all: Duration,
}

impl Daemon {
    /// Prepares its testbed, with a sink, without starting it.
    pub(super) fn prepare(site: &Site) -> Result<Self> {
        Ok(Self {
            binary: site.firewall.clone(),
            testbed: Arc::new(Testbed::with_sink()?),
            bpffs: BpfFs::mount()?,
            folder: tempfile::Builder::new().prefix("fw-bench-").tempdir()?,
            site: site.clone(),
            process: None,
        })
    }

    pub(super) const fn testbed(&self) -> &Arc<Testbed> {
        &self.testbed
    }

    pub(super) fn version(&self) -> Result<String> {
        let host = &self.testbed.network().host;
        tool::version(host, &self.binary, &["--version"], &self.site)
    }

    /// The pin of its XDP program.
    pub(super) fn program(&self) -> PathBuf {
        let folder = self.bpffs.path().join("firewall");
        folder.join(INSTANCE).join("program")
    }

    /// Writes the rule file and the list file that it names.
    pub(super) fn write(&self, rules: &str, list: Option<&str>) -> Result<()> {
        fs::write(self.rules(), rules)?;
        if let Some(list) = list {
            fs::write(self.folder.path().join(LIST_FILE), list)?;
        }
        Ok(())
    }

    /// The compiler's estimate of the cost of a packet with the rule file that was written, in
    /// nanoseconds, or the reason why it refuses the rules.
    pub(super) fn expectation(&self) -> Result<Result<u32, CompileError>> {
        expectation::of(&self.rules())
    }

    /// Starts it with the rule file that was written, and waits until its rules are in force.
    pub(super) fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command
            // Use the built-in object file, even if a developer has set another.
            .env_remove("FIREWALL_OBJECT")
            // Nothing of it is for a later start.
            .env("FIREWALL_STATE_DIR", "")
            .args(self.arguments())
            .arg("apply")
            .arg(self.rules())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.log())?)
            // Ctrl-C in the terminal must not reach it: this program ends it in the right order.
            .process_group(0);
        self.process = Some(self.testbed.network().host.spawn(&mut command)?);
        self.wait(|daemon| {
            let program = daemon
                .testbed
                .network()
                .xdp_program(daemon.testbed.host())?;
            Ok(program.map(|_| ()))
        })
    }

    /// Makes it read its files again; [`Self::change`] waits for the result.
    pub(super) fn reload(&self) -> Result<()> {
        Ok(kill(self.pid()?, Signal::SIGHUP)?)
    }

    /// Waits until it logs that this generation is in force, and returns the logged figures.
    pub(super) fn change(&mut self, generation: u32) -> Result<Change> {
        self.wait(|daemon| {
            let text = fs::read_to_string(daemon.log())?;
            Ok(read_change(&text, generation))
        })
    }

    /// The CPU time of its threads, in seconds (`proc_pid_stat(5)`).
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.pid()?);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let ticks = read_ticks(&text).with_context(|| format!("`{path}` is not understood"))?;
        let rate = sysconf(SysconfVar::CLK_TCK)?.context("the kernel has no clock ticks")?;
        Ok(ticks as f64 / rate as f64)
    }

    /// The size of the image in force and of all maps of rules, in bytes, and the time of the
    /// compiler.
    pub(super) fn image(&mut self, expected_nanoseconds: u32) -> Result<ImageFacts> {
        // Rules are in force shortly before the pins exist that its other commands read.
        let compiled = self.change(1)?.compiled;
        let status: StatusReport = serde_json::from_str(&self.ask(&["status", "--json"])?)
            .context("`firewall status` is not understood")?;
        Ok(ImageFacts {
            bytes: status.rules.image_bytes,
            map_bytes: status.memory(|map| !map.is_of_bans()),
            compile_seconds: compiled.as_secs_f64(),
            expected_nanoseconds,
        })
    }

    /// The bytes of the maps of bans.
    pub(super) fn ban_memory(&self) -> Result<u64> {
        let status: StatusReport = serde_json::from_str(&self.ask(&["status", "--json"])?)
            .context("`firewall status` is not understood")?;
        Ok(status.memory(StatusMap::is_of_bans))
    }

    /// The bytes of the array map with a pin of this name.
    pub(super) fn map_memory(&self, pin: &str) -> Result<u64> {
        let folder = self.bpffs.path().join("firewall").join(INSTANCE);
        let map = MapData::from_pin(folder.join(pin))?;
        let info = map.info()?;
        Ok(u64::from(info.max_entries()) * u64::from(info.value_size()))
    }

    /// Bans the members of a list, one per line.
    pub(super) fn ban(&self, list: &str) -> Result<()> {
        let arguments = self.arguments();
        let words = ["ban", "--for", "1d", "--reason", "bench", "--force", "-"];
        let before = arguments.iter().map(String::as_str);
        let all: Vec<_> = before.chain(words).collect();
        let host = &self.testbed.network().host;
        tool::run(host, &self.binary, &all, list, &self.site).map(drop)
    }

    /// Its counters.
    pub(super) fn verdicts(&self) -> Result<Verdicts> {
        let counters: CountersReport = serde_json::from_str(&self.ask(&["counters", "--json"])?)
            .context("`firewall counters` is not understood")?;
        counters.verdicts()
    }

    /// Runs another `firewall` command, and returns its output.
    fn ask(&self, words: &[&str]) -> Result<String> {
        let arguments = self.arguments();
        let before = arguments.iter().map(String::as_str);
        let all: Vec<_> = before.chain(words.iter().copied()).collect();
        let host = &self.testbed.network().host;
        tool::run(host, &self.binary, &all, "", &self.site)
    }

    fn arguments(&self) -> [String; 6] {
        let path = |path: &Path| path.display().to_string();
        [
            "--bpffs".to_owned(),
            path(self.bpffs.path()),
            "--run-dir".to_owned(),
            path(&self.folder.path().join("run")),
            "--instance".to_owned(),
            INSTANCE.to_owned(),
        ]
    }

    fn rules(&self) -> PathBuf {
        self.folder.path().join("rules.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn pid(&self) -> Result<Pid> {
        let process = self.process.as_ref().context("it does not run")?;
        Ok(Pid::from_raw(i32::try_from(process.id())?))
    }

    /// Waits until `look` finds something, as long as the process runs.
    fn wait<T>(&mut self, look: impl Fn(&Self) -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + self.site.patience;
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            self.site.interrupt.check()?;
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                self.process = None;
                bail!(
                    "`firewall apply` ended with {status}:\n{}",
                    fs::read_to_string(self.log())?.trim()
                );
            }
            ensure!(
                Instant::now() < deadline,
                tool::TooSlow::new("firewall apply", self.site.patience)
            );
            thread::sleep(STEP);
        }
    }

    /// Terminates it; returns whether it has ended.
    fn end(&mut self) -> bool {
        let pid = self.pid();
        let Some(mut process) = self.process.take() else {
            return true;
        };
        if !pid.is_ok_and(|pid| kill(pid, Signal::SIGTERM).is_ok()) {
            return false;
        }
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = process.try_wait() {
                return true;
            }
            thread::sleep(STEP);
        }
        // Leftovers disappear with the mount and the namespaces.
        let _ = process.kill().and_then(|()| process.wait());
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.end() {
            eprintln!("bench: `firewall apply` did not end by itself");
        }
    }
}

/// Finds the line `... generation N in force: ... (read 0.12 ms, ..., compiled 1.5 ms, ...)`.
fn read_change(log: &str, generation: u32) -> Option<Change> {
    let begin = format!("generation {generation} in force: ");
    // The last line may not be complete.
    let (whole, _) = log.rsplit_once('\n')?;
    let line = whole.lines().find(|line| line.contains(&begin))?;
    let (_, stages) = line.rsplit_once('(')?;
    let mut change = Change {
        compiled: Duration::ZERO,
        all: Duration::ZERO,
    };
    for stage in stages.trim_end_matches(')').split(", ") {
        let mut words = stage.split(' ');
        let name = words.next()?;
        // A single word qualifies the previous stage.
        let Some(milliseconds) = words.next() else {
            continue;
        };
        let milliseconds: f64 = milliseconds.parse().ok()?;
        let time = Duration::try_from_secs_f64(milliseconds / 1e3).ok()?;
        change.all += time;
        if name == "compiled" {
            change.compiled = time;
        }
    }
    Some(change)
}

/// The sum of the fields 14 and 15, after the name in parentheses, which may contain any character.
fn read_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// The output of `firewall status --json`, as far as needed here.
#[derive(Deserialize)]
struct StatusReport {
    rules: StatusRules,
    maps: Vec<StatusMap>,
}

#[derive(Deserialize)]
struct StatusRules {
    image_bytes: u64,
}

#[derive(Deserialize)]
struct StatusMap {
    name: String,
    memory: u64,
}

impl StatusReport {
    fn memory(&self, which: impl Fn(&StatusMap) -> bool) -> u64 {
        let maps = self.maps.iter().filter(|map| which(map));
        maps.map(|map| map.memory).sum()
    }
}

impl StatusMap {
    /// Whether it is a map for bans, not for rules.
    fn is_of_bans(&self) -> bool {
        self.name.starts_with("BAN")
    }
}

/// The output of `firewall counters --json`.
#[derive(Deserialize)]
struct CountersReport {
    rules: Vec<Counter>,
    reasons: Vec<Counter>,
}

#[derive(Deserialize)]
struct Counter {
    name: String,
    action: String,
    packets: u64,
}

impl CountersReport {
    fn verdicts(&self) -> Result<Verdicts> {
        let mut verdicts = Verdicts::default();
        for counter in self.rules.iter().chain(&self.reasons) {
            match counter.action.as_str() {
                "pass" => verdicts.passed += counter.packets,
                "drop" => verdicts.dropped += counter.packets,
                // Counted, and decided by a later rule.
                "count" => {}
                other => bail!("the counter `{}` has the action `{other}`", counter.name),
            }
        }
        let unmatched = self.reasons.iter();
        verdicts.unmatched = unmatched
            .filter(|reason| UNMATCHED.contains(&reason.name.as_str()))
            .map(|reason| reason.packets)
            .sum();
        Ok(verdicts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_the_log() {
        let log = "firewall: INFO generation 1 in force: 7 rules, image 1,848 bytes (read 1.00 ms, \
                   parsed 2.00 ms, compiled 30.5 ms, loaded 4.00 ms, switched 120 ms)\n\
                   firewall: INFO generation 2 in force: 7 rules, image 1,848 bytes; 2 addresses more \
                   (read 1.00 ms, parsed 2.00 ms, compiled 0.50 ms, incremental, loaded 4.00 ms, \
                   switched 1.00 ms)\n\
                   firewall: INFO generation 3 in force: 7 ru";
        let change = read_change(log, 1).unwrap();
        assert_eq!(change.compiled, Duration::from_micros(30_500));
        assert_eq!(change.all, Duration::from_micros(157_500));
        let change = read_change(log, 2).unwrap();
        assert_eq!(change.compiled, Duration::from_micros(500));
        assert_eq!(change.all, Duration::from_micros(8_500));
        assert_eq!(read_change(log, 3), None);
    }

    #[test]
    fn ticks_stand_behind_the_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 20 5 0 0";
        assert_eq!(read_ticks(stat), Some(25));
    }
}
