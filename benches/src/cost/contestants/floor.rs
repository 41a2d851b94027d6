//! An empty XDP program: what a packet costs that nobody judges.

use anyhow::Result;
use aya::programs::ProgramFd;
use driver_ebpf::program;

use crate::cost::{
    arena::Arena,
    contestant::{Contestant, Entry, Kind, Loading, Verdicts},
    object::Object,
};

struct Floor {
    kind: Kind,
    object: Object,
    arena: Arena,
}

/// Attaches it.
pub(in crate::cost) fn enter(kind: Kind) -> Result<Entry> {
    let arena = Arena::with_sink()?;
    let mut object = Object::load(1, &[name(kind)])?;
    object.attach(name(kind), &arena.network().host, arena.host())?;
    Ok(Entry::Ready(Box::new(Floor {
        kind,
        object,
        arena,
    })))
}

/// The name of the program.
fn name(kind: Kind) -> &'static str {
    if kind == Kind::PassingFloor {
        program::PASS
    } else {
        program::DROP
    }
}

impl Contestant for Floor {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn arena(&self) -> &Arena {
        &self.arena
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
