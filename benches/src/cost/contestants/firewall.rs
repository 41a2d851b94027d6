//! The `firewall` command, used as anybody would.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::programs::{ProgramFd, ProgramInfo};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    bpffs::BpfFs,
    cost::{
        arena::Arena,
        case::{Case, INTERFACE},
        contestant::{Contestant, Entry, Kind, Loading, Site, Verdicts},
        tool,
    },
};

/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(20);

/// How often a wait looks whether it has done.
const STEP: Duration = Duration::from_millis(1);

const INSTANCE: &str = "bench";

/// The reasons that stand for no rule having matched.
const UNMATCHED: [&str; 2] = ["policy", "neighbour"];

struct Firewall {
    place: Place,
    daemon: Option<Child>,
    version: String,
    loading: Loading,
}

/// Where it keeps what it keeps.
struct Place {
    binary: PathBuf,
    arena: Arena,
    bpffs: BpfFs,
    folder: TempDir,
    site: Site,
}

/// Has it load the rule file and waits until it judges.
pub(in crate::cost) fn enter(kind: Kind, case: &Case, site: &Site) -> Result<Entry> {
    let toml = match &case.config.toml {
        Ok(toml) => toml,
        Err(reason) => return Ok(Entry::absent(kind.name(), reason)),
    };
    let place = Place {
        binary: site.firewall.clone(),
        arena: Arena::with_sink()?,
        bpffs: BpfFs::mount()?,
        folder: tempfile::Builder::new().prefix("fw-bench-").tempdir()?,
        site: site.clone(),
    };
    let version = tool::version(
        &place.arena.network().host,
        &place.binary,
        &["--version"],
        site,
    )?;
    let rules = place.folder.path().join("rules.toml");
    fs::write(
        &rules,
        toml.replace(INTERFACE, &place.arena.host().interface),
    )?;
    for (name, content) in &case.config.lists {
        fs::write(place.folder.path().join(name), content)?;
    }
    let mut firewall = Firewall {
        place,
        daemon: None,
        version,
        loading: Loading::default(),
    };
    let (loading, ()) = tool::loading(|| firewall.apply(&rules))?;
    firewall.loading = loading;
    Ok(Entry::Ready(Box::new(firewall)))
}

impl Firewall {
    fn apply(&mut self, rules: &Path) -> Result<()> {
        let log = self.place.folder.path().join("log");
        let mut command = Command::new(&self.place.binary);
        command
            // The object file that is built in, whatever a developer has set.
            .env_remove("FIREWALL_OBJECT")
            .args(self.place.arguments())
            .arg("apply")
            .arg(rules)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            // Out of reach of the terminal's Ctrl-C: this program ends it, and in order.
            .process_group(0);
        let network = self.place.arena.network();
        let daemon = self.daemon.insert(network.host.spawn(&mut command)?);
        let deadline = Instant::now() + self.place.site.patience;
        while network.xdp_program(self.place.arena.host())?.is_none() {
            self.place.site.interrupt.check()?;
            if let Some(status) = daemon.try_wait()? {
                self.daemon = None;
                bail!(
                    "`firewall apply` ended with {status}:\n{}",
                    fs::read_to_string(&log)?.trim()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "`firewall apply` did not attach within {:?}",
                self.place.site.patience
            );
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Makes it end; whether it has.
    fn end(&mut self) -> bool {
        let Some(mut daemon) = self.daemon.take() else {
            return true;
        };
        let process = i32::try_from(daemon.id()).map(Pid::from_raw);
        if !process.is_ok_and(|process| kill(process, Signal::SIGTERM).is_ok()) {
            return false;
        }
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = daemon.try_wait() {
                return true;
            }
            thread::sleep(STEP);
        }
        // What it leaves goes with the mount and the namespaces.
        let _ = daemon.kill().and_then(|()| daemon.wait());
        false
    }
}

impl Place {
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
}

impl Contestant for Firewall {
    fn name(&self) -> &'static str {
        Kind::Firewall.name()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn arena(&self) -> &Arena {
        &self.place.arena
    }

    fn loading(&self) -> Loading {
        self.loading
    }

    fn verdicts(&self) -> Result<Option<Verdicts>> {
        let place = &self.place;
        let arguments = place.arguments();
        let mut words: Vec<_> = arguments.iter().map(String::as_str).collect();
        words.extend(["counters", "--json"]);
        let text = tool::run(
            &place.arena.network().host,
            &place.binary,
            &words,
            "",
            &place.site,
        )?;
        let counters: Counters =
            serde_json::from_str(&text).context("`firewall counters` is not understood")?;
        counters.verdicts().map(Some)
    }

    fn program(&self) -> Result<Option<ProgramFd>> {
        let pin = self.place.bpffs.path().join("firewall").join(INSTANCE);
        Ok(Some(ProgramInfo::from_pin(pin.join("program"))?.fd()?))
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        if !self.end() {
            eprintln!("bench: `firewall apply` did not end by itself");
        }
    }
}

/// What `firewall counters --json` prints.
#[derive(Deserialize)]
struct Counters {
    rules: Vec<Counter>,
    reasons: Vec<Counter>,
}

#[derive(Deserialize)]
struct Counter {
    name: String,
    action: String,
    packets: u64,
}

impl Counters {
    fn verdicts(&self) -> Result<Verdicts> {
        let mut verdicts = Verdicts::default();
        for counter in self.rules.iter().chain(&self.reasons) {
            match counter.action.as_str() {
                "pass" => verdicts.passed += counter.packets,
                "drop" => verdicts.dropped += counter.packets,
                // Counted, and judged by a later rule.
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
