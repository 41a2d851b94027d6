//! The `firewall` command.

use anyhow::Result;
use aya::programs::{ProgramFd, ProgramInfo};

use crate::cost::{
    arena::Arena,
    case::Case,
    contestant::{Contestant, Entry, Kind, Loading, Site, Verdicts},
    daemon::Daemon,
    tool,
};

struct Firewall {
    daemon: Daemon,
    version: String,
    loading: Loading,
}

/// Has it load the rule file and waits until it judges.
pub(in crate::cost) fn enter(case: &Case, site: &Site) -> Result<Entry> {
    let mut daemon = Daemon::prepare(site)?;
    let version = daemon.version()?;
    let (rules, list) = case.rule_file(&daemon.arena().host().interface);
    daemon.write(&rules, list.as_deref())?;
    let (mut loading, ()) = tool::loading(|| daemon.start())?;
    loading.cpu_seconds = daemon.cpu_seconds()?;
    loading.image = Some(daemon.image()?);
    Ok(Entry::Ready(Box::new(Firewall {
        daemon,
        version,
        loading,
    })))
}

impl Contestant for Firewall {
    fn name(&self) -> &'static str {
        Kind::Firewall.name()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn arena(&self) -> &Arena {
        self.daemon.arena()
    }

    fn loading(&self) -> Loading {
        self.loading
    }

    fn verdicts(&self) -> Result<Option<Verdicts>> {
        self.daemon.verdicts().map(Some)
    }

    fn program(&self) -> Result<Option<ProgramFd>> {
        let program = ProgramInfo::from_pin(self.daemon.program())?;
        Ok(Some(program.fd()?))
    }
}
