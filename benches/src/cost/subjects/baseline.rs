//! An empty XDP program: the cost of a packet without a filter.

use anyhow::Result;
use aya::programs::ProgramFd;
use driver_ebpf::program;

use crate::cost::{
    loading::Loading,
    object_file::ObjectFile,
    subject::{Entry, Subject},
    subject_kind::SubjectKind,
    testbed::Testbed,
    verdicts::Verdicts,
};

struct Baseline {
    kind: SubjectKind,
    object: ObjectFile,
    testbed: Testbed,
}

/// Attaches it.
pub(in crate::cost) fn set_up(kind: SubjectKind) -> Result<Entry> {
    let testbed = Testbed::with_sink()?;
    let mut object = ObjectFile::load(1, &[name(kind)])?;
    object.attach(name(kind), &testbed.network().host, testbed.host())?;
    Ok(Entry::Ready(Box::new(Baseline {
        kind,
        object,
        testbed,
    })))
}

/// The name of the program.
fn name(kind: SubjectKind) -> &'static str {
    if kind == SubjectKind::PassingBaseline {
        program::PASS
    } else {
        program::DROP
    }
}

impl Subject for Baseline {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    fn loading(&self) -> Loading {
        Loading::default()
    }

    fn verdicts(&self) -> Result<Option<Verdicts>> {
        Ok(None)
    }

    fn program(&self) -> Result<Option<ProgramFd>> {
        self.object.fd(name(self.kind)).map(Some)
    }
}
