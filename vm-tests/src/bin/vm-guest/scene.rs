//! The environment of a scenario: its own network, a rule file, and the check that nothing is left
//! at the end.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use benches::{
    network::Network,
    objects::{self, Object},
    traffic::Sender,
};

use crate::{
    firewall::{Firewall, wait_until},
    tool,
};

/// The default places of the command's pins and run folder.
const PINS: &str = "/sys/fs/bpf/firewall";
const RUN: &str = "/run/firewall";

/// The folder of the rule file.
const FOLDER: &str = "/tmp/rules";

/// The environment of a scenario.
pub(crate) struct Scene {
    pub(crate) network: Network,
    before: BTreeSet<Object>,
}

impl Scene {
    /// A network with `links` links.
    pub(crate) fn new(links: usize) -> Result<Self> {
        fs::create_dir_all(FOLDER).with_context(|| format!("cannot create `{FOLDER}`"))?;
        Ok(Self {
            before: objects::all()?,
            network: Network::with_links(links)?,
        })
    }

    /// The command, in the network namespace of the interface that it filters.
    pub(crate) fn firewall(&self) -> Firewall<'_> {
        Firewall {
            namespace: &self.network.host,
        }
    }

    /// Writes the rule file: `rules` below settings for the interface.
    pub(crate) fn write_rules(&self, policy: &str, rules: &str) -> Result<PathBuf> {
        let interface = &self.network.link().host.interface;
        self.write_rules_for(interface, "native", policy, rules)
    }

    /// Writes the rule file for an interface or a glob.
    pub(crate) fn write_rules_for(
        &self,
        interface: &str,
        mode: &str,
        policy: &str,
        rules: &str,
    ) -> Result<PathBuf> {
        let settings = format!(
            "[firewall]\ninterfaces = [\"{interface}\"]\nmode = \"{mode}\"\npolicy = \"{policy}\"\n"
        );
        self.write_file("rules.toml", &(settings + rules))
    }

    /// Writes a file beside the rule file.
    pub(crate) fn write_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = Path::new(FOLDER).join(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// A sender at the far end of the link.
    pub(crate) fn sender(&self) -> Result<Sender> {
        Sender::open(&self.network.peer, &self.network.link().peer)
    }

    /// The program on the interface.
    pub(crate) fn attached(&self) -> Result<Option<u32>> {
        self.network.xdp_program(&self.network.link().host)
    }

    /// The queueing disciplines for filters of traffic control, in the namespace of the interface.
    pub(crate) fn disciplines(&self) -> Result<Vec<String>> {
        let shown = tool::run(&self.network.host, "tc", "qdisc show")?;
        let disciplines = shown.lines().filter(|line| line.contains("clsact"));
        Ok(disciplines.map(str::to_owned).collect())
    }

    /// Checks that the command has left nothing: no program on the interface, no queueing discipline,
    /// no pin, no socket, and no object in the kernel.
    pub(crate) fn check_nothing_left(&self) -> Result<()> {
        ensure!(
            self.attached()?.is_none(),
            "a program is left on the interface"
        );
        ensure!(
            self.disciplines()?.is_empty(),
            "a discipline of traffic control is left"
        );
        for path in [PINS, RUN] {
            ensure!(!Path::new(path).exists(), "`{path}` is left");
        }
        // The kernel frees objects a grace period after their last reference is gone.
        wait_until("the kernel frees every object", || {
            Ok(objects::all()?.is_subset(&self.before))
        })
    }
}
