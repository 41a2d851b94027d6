//! The `firewall` command.

use anyhow::Result;
use aya::programs::{ProgramFd, ProgramInfo};

use crate::cost::{
    case::Case,
    daemon::Daemon,
    loading::Loading,
    site::Site,
    subject::{Cause, Entry, Subject},
    subject_kind::SubjectKind,
    testbed::Testbed,
    tool,
    verdicts::Verdicts,
};

struct Firewall {
    daemon: Daemon,
    version: String,
    loading: Loading,
}

/// Starts it with the rule file and waits until the rules are in force; rules that the compiler
/// refuses are not measured.
pub(in crate::cost) fn set_up(case: &Case, site: &Site) -> Result<Entry> {
    let mut daemon = Daemon::prepare(site)?;
    let (rules, list) = case.rules.rule_file(&daemon.testbed().host().interface);
    daemon.write(&rules, list.as_deref())?;
    let expected_nanoseconds = match daemon.expectation()? {
        Ok(nanoseconds) => nanoseconds,
        Err(refusal) => {
            let kind = SubjectKind::Firewall;
            return Ok(Entry::absent(kind, Cause::Refused, refusal.to_string()));
        }
    };
    let version = daemon.version()?;
    let (mut loading, ()) = tool::loading(|| daemon.start())?;
    loading.cpu_seconds = daemon.cpu_seconds()?;
    loading.image = Some(daemon.image(expected_nanoseconds)?);
    Ok(Entry::Ready(Box::new(Firewall {
        daemon,
        version,
        loading,
    })))
}

impl Subject for Firewall {
    fn name(&self) -> &'static str {
        SubjectKind::Firewall.name()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn testbed(&self) -> &Testbed {
        self.daemon.testbed()
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
