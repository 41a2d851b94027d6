//! The life of the package: each step, and what must be so after it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use benches::{
    interrupt::Interrupt,
    network::Network,
    objects::{self, Object},
};

use crate::{
    debian::Root,
    firewall::Report,
    guest::{Guest, wait_until},
    traffic::{self, BANNED, Conversation, FLOOD_PORT, Flood},
};

/// The packets that show whether packets pass.
const PROBES: u64 = 100;

/// A package file.
struct Package {
    path: PathBuf,
    version: String,
}

/// The package, and one of a higher version.
pub(crate) struct Packages {
    older: Package,
    newer: Package,
}

impl Packages {
    /// Reads the versions of both.
    pub(crate) fn of(older: &Path, newer: &Path) -> Result<Self> {
        let read = |path: &Path| -> Result<Package> {
            let path = path.canonicalize();
            let path = path.with_context(|| "there is no such package")?;
            let mut command = Command::new("dpkg-deb");
            command.arg("--field").arg(&path).arg("Version");
            let version = String::from_utf8(command.output()?.stdout)?;
            // Without the revision of the package.
            let version = version.trim().split('-').next().unwrap_or_default();
            Ok(Package {
                version: version.to_owned(),
                path,
            })
        };
        let packages = Self {
            older: read(older)?,
            newer: read(newer)?,
        };
        let mut command = Command::new("dpkg");
        command.args([
            "--compare-versions",
            &packages.newer.version,
            "gt",
            &packages.older.version,
        ]);
        ensure!(
            command.status()?.success(),
            "version `{}` is not higher than `{}`",
            packages.newer.version,
            packages.older.version
        );
        Ok(packages)
    }
}

/// Runs through the life of the package.
pub(crate) fn run(
    debian: &Path,
    packages: &Packages,
    rate: u32,
    interrupt: &Interrupt,
) -> Result<()> {
    lint(&packages.older.path)?;
    let network = Network::new()?;
    let root = Root::over(debian)?;
    for package in [&packages.older, &packages.newer] {
        fs::copy(&package.path, root.path().join(package.file()))?;
    }
    let guest = Guest::start(&root, &network)?;
    let life = Life {
        root: &root,
        network: &network,
        guest: &guest,
        packages,
    };
    let lived = life.pass(rate, interrupt);
    lived.with_context(|| {
        format!(
            "the log of the service:\n{}---\nthe test failed",
            guest.log()
        )
    })
}

/// Checks the package by Debian's rules.
fn lint(package: &Path) -> Result<()> {
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error", "--tag-display-limit", "0"]);
    let output = command.arg(package).output();
    let output = output.context("cannot run `lintian`\nhelp: run `make setup`")?;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "lintian: {report}");
    say(&format!(
        "lintian finds no error and {} warnings",
        report.lines().filter(|line| line.starts_with("W:")).count()
    ));
    Ok(())
}

impl Package {
    /// Its name in the root folder of the system.
    fn file(&self) -> String {
        format!("firewall-{}.deb", self.version)
    }
}

struct Life<'a> {
    root: &'a Root,
    network: &'a Network,
    guest: &'a Guest<'a>,
    packages: &'a Packages,
}

impl Life<'_> {
    fn pass(&self, rate: u32, interrupt: &Interrupt) -> Result<()> {
        let Packages { older, newer } = self.packages;
        let clean = self.root.files()?;
        let before = objects::all()?;

        self.install(older)?;
        self.must_be_open("installed")?;
        ensure!(
            self.guest.run(&["systemctl", "is-enabled", "firewall"])? == "disabled\n",
            "the service is enabled by the installation"
        );
        self.install(newer)?;
        self.must_be_open("upgraded without rules")?;
        self.install(older)?;
        say("an installation filters nothing, and starts nothing");

        self.write_rules("")?;
        self.guest
            .must(&["systemctl", "enable", "--now", "firewall"])?;
        self.guest
            .must(&["firewall", "ban", &BANNED.to_string(), "--reason", "test"])?;
        let forever = "2001:db8:bad::/48";
        self.guest.must(&[
            "firewall", "ban", forever, "--for", "1h", "--reason", "list",
        ])?;
        let mut conversation = Conversation::begin(self.network)?;
        conversation.go_on()?;
        let first = Report::read(self.guest)?;
        ensure!(first.version == older.version, "{first:?}");
        ensure!(first.bans.len() == 2 && first.flows.len() == 1, "{first:?}");

        let flood = Flood::start(self.network, rate)?;
        let mut last = first;
        let mut step =
            |what: &str, package: &Package, act: &dyn Fn() -> Result<()>| -> Result<()> {
                interrupt.check()?;
                let earlier = Report::read(self.guest)?;
                act().with_context(|| what.to_owned())?;
                let now = Report::read(self.guest)?;
                conversation.go_on().with_context(|| what.to_owned())?;
                let is_kept = now.flood >= earlier.flood
                    && now.banned >= earlier.banned
                    && now.bans == earlier.bans
                    && now.flows == earlier.flows;
                ensure!(is_kept, "{what}: {earlier:?} became {now:?}");
                ensure!(now.version == package.version, "{what}: {now:?}");
                ensure!(
                    now.daemon != earlier.daemon,
                    "{what}: the daemon is the same"
                );
                say(&format!(
                    "{what}: {} packets counted, {} bans, {} flow",
                    now.flood + now.banned,
                    now.bans.len(),
                    now.flows.len()
                ));
                last = now;
                Ok(())
            };
        let restart = || {
            self.guest
                .must(&["systemctl", "restart", "firewall"])
                .map(drop)
        };
        step("restarted", older, &restart)?;
        step("upgraded", newer, &|| self.install(newer))?;
        step("restarted", newer, &restart)?;
        step("back to the older version", older, &|| self.install(older))?;
        step("upgraded with other rules", newer, &|| {
            self.write_rules(
                "[[rule]]\nname = \"more\"\naction = \"drop\"\nproto = \"udp\"\ndport = 10\n",
            )?;
            self.install(newer)
        })?;
        step("killed and back to the older version", older, &|| {
            self.guest
                .must(&["systemctl", "kill", "--signal", "KILL", "firewall"])?;
            self.install(older)
        })?;
        step("upgraded with a broken rule file", newer, &|| {
            fs::write(self.rules(), "[firewal]\n")?;
            self.install(newer)
        })?;
        step(
            "installed again, with the rule file in order",
            newer,
            &|| {
                self.write_rules("")?;
                self.install(newer)
            },
        )?;

        // Nothing that the new daemon could bring into force: it fails, and the rules stay.
        fs::remove_file(self.rules())?;
        fs::remove_dir_all(self.root.path().join("var/lib/firewall/default"))?;
        self.install(older)?;
        let state = self.guest.run(&["systemctl", "is-active", "firewall"])?;
        ensure!(state == "failed\n", "without rules the service is {state}");
        conversation.go_on()?;
        self.write_rules("")?;
        self.guest.must(&["systemctl", "start", "firewall"])?;
        say(
            "upgraded without rules: the daemon fails, and the rules stay in force for the next one",
        );

        let sent = flood.finish()?;
        ensure!(
            sent.through == 0,
            "{} packets got through: {sent:?}",
            sent.through
        );
        let mut now = last.clone();
        wait_until("all packets are counted", || {
            now = Report::read(self.guest)?;
            Ok(now.flood >= sent.flood && now.banned >= sent.banned)
        })
        .with_context(|| format!("{sent:?} {now:?}"))?;
        ensure!(
            (now.flood, now.banned) == (sent.flood, sent.banned),
            "{sent:?} were sent, {now:?} counted"
        );
        say(&format!(
            "{} packets sent to the port and {} from the banned source: each was dropped and counted",
            sent.flood, sent.banned
        ));

        let rules = fs::read(self.rules())?;
        self.guest.must(&["dpkg", "--remove", "firewall"])?;
        self.must_be_unloaded("removed", &now.objects, &before)?;
        ensure!(fs::read(self.rules())? == rules, "the rules were removed");
        conversation.go_on()?;
        self.guest.must(&["dpkg", "--purge", "firewall"])?;
        self.must_be_clean("purged", &clean)?;
        say("removed: unloaded, with the rules kept; purged: nothing is left");

        self.install(older)?;
        self.write_rules("")?;
        self.guest.must(&["systemctl", "start", "firewall"])?;
        let running = Report::read(self.guest)?;
        self.guest
            .must(&["systemctl", "kill", "--signal", "KILL", "firewall"])?;
        self.guest.must(&["dpkg", "--purge", "firewall"])?;
        self.must_be_unloaded(
            "purged after the daemon was killed",
            &running.objects,
            &before,
        )?;
        self.must_be_clean("purged after the daemon was killed", &clean)?;
        say("purged right after the daemon was killed: nothing is left");
        Ok(())
    }

    fn install(&self, package: &Package) -> Result<()> {
        let file = format!("/{}", package.file());
        self.guest.must(&["dpkg", "--install", &file])?;
        let version = self.guest.must(&["firewall", "--version"])?;
        ensure!(
            version.trim() == format!("firewall {}", package.version),
            "{version}"
        );
        Ok(())
    }

    fn rules(&self) -> PathBuf {
        self.root.path().join("etc/firewall/rules.toml")
    }

    /// Writes rules that pass replies only, and count the flood by a rule of its own.
    fn write_rules(&self, more: &str) -> Result<()> {
        let interface = &self.network.link().host.interface;
        let text = format!(
            "[firewall]\ninterfaces = [\"{interface}\"]\npolicy = \"drop\"\n{more}\
             [[rule]]\nname = \"replies\"\naction = \"pass\"\nstate = [\"established\", \"related\"]\n\
             [[rule]]\nname = \"flood\"\naction = \"drop\"\nproto = \"udp\"\ndport = {FLOOD_PORT}\n"
        );
        fs::write(self.rules(), text).context("cannot write the rule file")
    }

    /// Checks that packets pass and nothing is loaded.
    fn must_be_open(&self, when: &str) -> Result<()> {
        let arrived = traffic::arriving(self.network, PROBES)?;
        ensure!(
            arrived == PROBES,
            "{when}: {arrived} of {PROBES} packets arrive"
        );
        let program = self.network.xdp_program(&self.network.link().host)?;
        ensure!(program.is_none(), "{when}: a program is on the interface");
        let state = self.guest.run(&["systemctl", "is-active", "firewall"])?;
        ensure!(state != "active\n", "{when}: the service is active");
        Ok(())
    }

    /// Checks that nothing is left in the kernel.
    fn must_be_unloaded(
        &self,
        when: &str,
        loaded: &BTreeSet<Object>,
        before: &BTreeSet<Object>,
    ) -> Result<()> {
        self.must_be_open(when)?;
        let pins = self.guest.must(&[
            "find",
            "/sys/fs/bpf",
            "-mindepth",
            "1",
            "-not",
            "-name",
            "*.debug",
        ])?;
        ensure!(pins.is_empty(), "{when}, pins are left: {pins}");
        ensure!(
            loaded.is_disjoint(before),
            "{when}: what was loaded is not known"
        );
        // The kernel frees objects a grace period after their last holder is gone.
        wait_until("the kernel frees every object", || {
            Ok(objects::all()?.is_disjoint(loaded))
        })
        .with_context(|| when.to_owned())
    }

    /// Checks that the files are those of a clean system.
    fn must_be_clean(&self, when: &str, clean: &BTreeSet<PathBuf>) -> Result<()> {
        let now = self.root.files()?;
        let differ: Vec<&PathBuf> = now.symmetric_difference(clean).collect();
        ensure!(differ.is_empty(), "{when}, files differ: {differ:?}");
        let run = self.guest.run(&["find", "/run", "-path", "*firewall*"])?;
        ensure!(run.is_empty(), "{when}, files are left: {run}");
        let units = self.guest.must(&[
            "systemctl",
            "list-units",
            "--all",
            "--no-legend",
            "firewall*",
        ])?;
        ensure!(units.is_empty(), "{when}, systemd knows: {units}");
        Ok(())
    }
}

fn say(words: &str) {
    println!("package-tests: {words}");
}
