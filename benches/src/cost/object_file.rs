//! The object file with the driver's programs and the empty ones.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramFd, SchedClassifier, TcAttachType, Xdp, XdpMode, tc},
};
use driver_ebpf::{LINES, PACKETS, TAG_LINES, TAGS, program};

use crate::network::{End, Namespace};

static BYTES: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/driver-xdp"));

/// The maps and some of the programs, which are in the kernel as long as this value exists.
#[derive(Debug)]
pub(super) struct ObjectFile(Ebpf);

impl ObjectFile {
    /// Creates the maps, with room for `packets` packets, and loads the programs with these names.
    pub(super) fn load(packets: u32, programs: &[&str]) -> Result<Self> {
        Self::with_table(packets, 1, programs)
    }

    /// The same with a table of so many lines to be read.
    pub(super) fn with_table(packets: u32, lines: u32, programs: &[&str]) -> Result<Self> {
        let ebpf = EbpfLoader::new()
            .map_max_entries(PACKETS, packets)
            .map_max_entries(LINES, lines)
            .map_max_entries(TAGS, lines.div_ceil(TAG_LINES))
            .load(BYTES)
            .context("cannot load the driver")?;
        let mut object = Self(ebpf);
        for name in programs {
            object
                .program_mut(name)?
                .load()
                .with_context(|| format!("the kernel refuses the program `{name}`"))?;
        }
        Ok(object)
    }

    /// The map of the name given.
    pub(super) fn map<'a, M>(&'a mut self, name: &str) -> Result<M>
    where
        M: TryFrom<&'a mut aya::maps::Map, Error = aya::maps::MapError>,
    {
        let map = self.0.map_mut(name);
        let map = map.with_context(|| format!("the driver has no map `{name}`"))?;
        Ok(M::try_from(map)?)
    }

    /// The program of the name given.
    pub(super) fn program(&self, name: &str) -> Result<&Xdp> {
        let program = self.0.program(name);
        let program = program.with_context(|| format!("the driver has no program `{name}`"))?;
        Ok(program.try_into()?)
    }

    /// A descriptor of the program of the name given.
    pub(super) fn fd(&self, name: &str) -> Result<ProgramFd> {
        Ok(self.program(name)?.fd()?.try_clone()?)
    }

    /// Attaches a program to an interface in native mode, as long as the returned value exists.
    pub(super) fn attach(&mut self, name: &str, namespace: &Namespace, end: &End) -> Result<()> {
        let program = self.program_mut(name)?;
        namespace
            .run(|| program.attach_to_if_index(end.index, XdpMode::Driver))?
            .with_context(|| format!("cannot attach to `{}`", end.interface))?;
        Ok(())
    }

    /// Drops all packets that XDP programs pass on an interface, as long as the returned value
    /// exists.
    pub(super) fn drop_passed(&mut self, namespace: &Namespace, end: &End) -> Result<()> {
        let program = self.0.program_mut(program::DROP_PASSED);
        let program: &mut SchedClassifier = program
            .context("the driver has no classifier")?
            .try_into()?;
        program
            .load()
            .context("the kernel refuses the classifier")?;
        namespace.run(|| {
            // Before Linux 6.6, classifiers need a queueing discipline to be attached to.
            tc::qdisc_add_clsact(&end.interface)?;
            anyhow::Ok(program.attach(&end.interface, TcAttachType::Ingress)?)
        })??;
        Ok(())
    }

    fn program_mut(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.0.program_mut(name);
        let program = program.with_context(|| format!("the driver has no program `{name}`"))?;
        Ok(program.try_into()?)
    }
}
