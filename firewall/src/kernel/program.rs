//! The programs: from the object file to verified, translated code in the kernel.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aya::{
    Ebpf, EbpfError, EbpfLoader, TestRun as _,
    maps::{MapData, MapError, ProgramArray},
    programs::{ProgramError, ProgramFd, ProgramType, SchedClassifier, TestRunOptions, Xdp},
    sys::{BpfHelper, is_helper_supported},
};
use firewall_ebpf::{
    abi,
    flows::{FRAGMENTS, LINE_SLOTS, TAG_LINES},
};
use nix::errno::Errno;

use crate::kernel::{
    clock,
    counters::Counters,
    flows::Ticks,
    hook::Hook,
    image_size::ImageSize,
    logs::{self, Logs},
    pins::{FlowObject, Pins, Shared},
    slot::Capacity,
    verifier::Tail,
};

/// The object file that was built with this crate.
static BUILT_IN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/firewall-xdp"));

/// Why the program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The object file could not be read.
    #[error("cannot read the object file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The object file or its maps do not load.
    #[error("the object file does not load")]
    Object(#[source] Box<EbpfError>),
    /// The kernel has no memory for the table of flows.
    #[error("the kernel has no memory for the table of flows")]
    Flows(#[source] io::Error),
    /// The object file has no such program.
    #[error("the object file has no program `{0}`")]
    NoProgram(&'static str),
    /// The object file has no such map.
    #[error("the object file has no map `{0}`")]
    NoMap(&'static str),
    /// The verifier refused the program.
    #[error("the kernel's verifier refused the program `{name}`: {source}\n{tail}")]
    Refused {
        /// The name of the program.
        name: &'static str,
        /// What the kernel answered.
        #[source]
        source: VerifierAnswer,
        /// The end of the verifier's log.
        tail: Tail,
    },
    /// A program could not be given to those that go on with it.
    #[error("the program `{name}` could not be entered into the array of programs")]
    Tracker {
        /// The name of the program.
        name: &'static str,
        /// Why.
        source: MapError,
    },
    /// The program did not load for a reason before or after the verifier.
    #[error("the program `{name}` does not load")]
    Program {
        /// The name of the program.
        name: &'static str,
        /// Why.
        source: ProgramError,
    },
}

/// The error number of a refusal, which the message already has.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.in_words())]
pub(crate) struct VerifierAnswer(io::Error);

impl VerifierAnswer {
    /// The error in words, without its number.
    fn in_words(&self) -> String {
        let number = self.0.raw_os_error();
        number.map_or_else(
            || self.0.to_string(),
            |number| Errno::from_raw(number).desc().to_owned(),
        )
    }
}

impl LoadError {
    /// How to fix it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Refused { source, .. } if source.0.raw_os_error() == Some(libc::EPERM) => Some(
                "the kernel may be locked down, or a security module or container forbids it; \
                 nothing was loaded"
                    .into(),
            ),
            Self::Refused { .. } => Some(
                "nothing was loaded; the program needs Linux 5.10 or newer; on such a kernel this \
                 is an internal error: please report it with the whole log, which \
                 `FIREWALL_LOG=debug` prints"
                    .into(),
            ),
            Self::Object(_) | Self::NoProgram(_) | Self::NoMap(_) => {
                Some("the object file must be the one of this version".into())
            }
            Self::Read { .. } | Self::Program { .. } | Self::Tracker { .. } | Self::Flows(_) => {
                None
            }
        }
    }
}

/// An object file.
pub(crate) enum ObjectFile {
    /// The one built with this crate.
    BuiltIn,
    /// Another one.
    Other(Vec<u8>),
}

impl ObjectFile {
    /// Reads another object file than the one built in.
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        std::fs::read(path)
            .map(Self::Other)
            .map_err(|source| LoadError::Read {
                path: path.to_owned(),
                source,
            })
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::BuiltIn => BUILT_IN,
            Self::Other(bytes) => bytes,
        }
    }
}

/// The inputs for loading the program.
pub(crate) struct Setting<'a> {
    /// The pin of the array of images, which must exist.
    pub(crate) images: &'a Path,
    /// The length of the images in it.
    pub(crate) size: ImageSize,
    /// The pin of the counters, made if it does not exist; without one the program has counters of
    /// its own, which end with it.
    pub(crate) counters: Option<&'a Path>,
    /// The capacity of the counters if they are made.
    pub(crate) capacity: Capacity,
    /// The instance whose maps of bans and events the program uses, which must be pinned; without
    /// one it has neither bans nor events.
    pub(crate) shared: Option<&'a Pins>,
    /// The table of flows; `None` where rules do not ask for states.
    pub(crate) flows: Option<FlowSetting>,
}

/// The table of flows of a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowSetting {
    /// The number of slots; 0 for the smallest table, which ends with the program.
    pub(crate) slots: u32,
    /// The pins of its maps, which are made if they do not exist.
    pub(crate) pins: Vec<(FlowObject, PathBuf)>,
}

/// The programs of one object file, with the same maps: the XDP program, verified, and those of the hooks
/// of traffic control, which are verified when they are needed first.
pub(crate) struct Program {
    verified: BTreeMap<Hook, Arc<OwnedFd>>,
    /// Whether they are those for rules that ask for states.
    by_state: bool,
    /// Keeps the maps that are not pinned, as those of read-only data.
    ebpf: Ebpf,
    _logs: Option<Logs>,
}

impl Program {
    /// Creates the maps that do not exist, and has the kernel verify and translate the program.
    pub(crate) fn load(object: &ObjectFile, setting: &Setting<'_>) -> Result<Self, LoadError> {
        let mut ebpf = verified(object, setting)?;
        let by_state = setting.flows.is_some();
        let fd = owned(suitable(by_state), xdp(&mut ebpf, by_state)?.fd())?;
        let logs = Logs::forward(&mut ebpf);
        Ok(Self {
            verified: BTreeMap::from([(Hook::Xdp, fd)]),
            by_state,
            ebpf,
            _logs: logs,
        })
    }

    /// The verified programs.
    pub(crate) fn verified(&self) -> &BTreeMap<Hook, Arc<OwnedFd>> {
        &self.verified
    }

    /// The program of a hook, which the kernel verifies and translates if it has not yet.
    pub(crate) fn at(&mut self, hook: Hook) -> Result<Arc<OwnedFd>, LoadError> {
        if let Some(fd) = self.verified.get(&hook) {
            return Ok(Arc::clone(fd));
        }
        if self.by_state && hook.is_egress() {
            track(hook, &mut self.ebpf)?;
        }
        let program = verified_at(hook, &mut self.ebpf, self.by_state)?;
        let fd = owned(name(hook, self.by_state), program.fd())?;
        self.verified.insert(hook, Arc::clone(&fd));
        Ok(fd)
    }

    /// How the kernel's jiffies, which programs have for a clock, and the time relate.
    pub(crate) fn ticks(&mut self) -> Result<Ticks, LoadError> {
        // A tick may be late, but not early: of several readings the one with the most jiffies is right.
        const READINGS: u32 = 5;
        const PAUSE: Duration = Duration::from_millis(5);
        let mut ticks = jiffies(&mut self.ebpf)?;
        for _ in 1..READINGS {
            std::thread::sleep(PAUSE);
            let again = jiffies(&mut self.ebpf)?;
            ticks.at_start = ticks.at_start.max(again.at_start);
        }
        Ok(ticks)
    }

    /// Forgets the program of a hook of traffic control, which the kernel frees when it is neither pinned nor
    /// attached.
    pub(crate) fn forget(&mut self, hook: Hook) {
        if hook == Hook::Xdp || self.verified.remove(&hook).is_none() {
            return;
        }
        if self.by_state && hook == Hook::BareIngress {
            let [ahead, back] = abi::BARE_ERRORS;
            let indexes = [ahead, back, abi::BARE_ADMIT];
            let cleared = others(&mut self.ebpf, abi::FLOW_TRACKERS)
                .map(|mut programs| indexes.map(|index| programs.clear_index(&index)));
            for error in cleared.into_iter().flatten().filter_map(Result::err) {
                tracing::debug!(event = "program_stays", %error, "a program stays loaded");
            }
        }
        let name = name(hook, self.by_state);
        let unloaded = classifier(&mut self.ebpf, name).map(SchedClassifier::unload);
        if let Ok(Err(error)) = unloaded {
            tracing::debug!(event = "program_stays", %error, "a program stays loaded");
        }
    }
}

fn owned(
    name: &'static str,
    fd: Result<&ProgramFd, ProgramError>,
) -> Result<Arc<OwnedFd>, LoadError> {
    let failed = |source| LoadError::Program { name, source };
    let fd = fd.map_err(failed)?.as_fd().try_clone_to_owned();
    Ok(Arc::new(fd.map_err(|error| failed(error.into()))?))
}

/// The name of the program of a hook; `by_state` where rules ask for states.
fn name(hook: Hook, by_state: bool) -> &'static str {
    let name = match hook {
        Hook::Xdp => return suitable(by_state),
        Hook::BareIngress => abi::BARE_INGRESS_PROGRAM,
        Hook::Egress => abi::EGRESS_PROGRAM,
        Hook::BareEgress => abi::BARE_EGRESS_PROGRAM,
    };
    variant(name, by_state)
}

fn variant(name: &'static str, by_state: bool) -> &'static str {
    let flows = abi::flows_program(name);
    if by_state {
        flows.unwrap_or(name)
    } else {
        name
    }
}

/// Loads the program that tracks the flows of packets at an egress hook, which the program of the hook goes on with.
pub(super) fn track(hook: Hook, ebpf: &mut Ebpf) -> Result<(), LoadError> {
    let index = usize::from(hook == Hook::BareEgress);
    let name = abi::TRACKERS[index];
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let fd = cloned(name, loaded_classifier(ebpf, name)?.fd())?;
    enter(ebpf, abi::FLOW_TRACKERS, index, name, &fd)
}

/// Loads the programs with which the verified program of a hook goes on, and that go back to it: the one that judges ICMP
/// errors, and the one that admits flows.
fn follow_up(hook: Hook, ebpf: &mut Ebpf) -> Result<(), LoadError> {
    let (map, [ahead, back], admit, names) = match hook {
        Hook::Xdp => {
            let names = if takes_frags() {
                [abi::ERRORS_PROGRAM, abi::ADMIT_PROGRAM]
            } else {
                [abi::ERRORS_LINEAR_PROGRAM, abi::ADMIT_LINEAR_PROGRAM]
            };
            (abi::FLOW_ERRORS, abi::ERRORS, abi::ADMIT, names)
        }
        Hook::BareIngress => (
            abi::FLOW_TRACKERS,
            abi::BARE_ERRORS,
            abi::BARE_ADMIT,
            [abi::BARE_ERRORS_PROGRAM, abi::BARE_ADMIT_PROGRAM],
        ),
        Hook::Egress | Hook::BareEgress => return Ok(()),
    };
    let filter = name(hook, true);
    let loaded = |ebpf: &mut Ebpf, name| match hook {
        Hook::Xdp => cloned(name, loaded_xdp(ebpf, name)?.fd()),
        Hook::BareIngress | Hook::Egress | Hook::BareEgress => {
            cloned(name, loaded_classifier(ebpf, name)?.fd())
        }
    };
    // The way back first: without one, packets that others decide on would be dropped.
    let filter_fd = loaded(ebpf, filter)?;
    enter(ebpf, map, back, filter, &filter_fd)?;
    for (index, name) in [ahead, admit].into_iter().zip(names) {
        let fd = loaded(ebpf, name)?;
        enter(ebpf, map, index, name, &fd)?;
    }
    Ok(())
}

fn cloned(
    name: &'static str,
    fd: Result<&ProgramFd, ProgramError>,
) -> Result<ProgramFd, LoadError> {
    let cloned = fd.and_then(|fd| Ok(fd.try_clone()?));
    cloned.map_err(|source| LoadError::Program { name, source })
}

/// Enters a program into an array of programs that others go on with.
fn enter(
    ebpf: &mut Ebpf,
    map: &'static str,
    index: u32,
    name: &'static str,
    program: &ProgramFd,
) -> Result<(), LoadError> {
    others(ebpf, map)?
        .set(index, program, 0)
        .map_err(|source| LoadError::Tracker { name, source })
}

/// An array of programs that others go on with.
fn others<'a>(
    ebpf: &'a mut Ebpf,
    map: &'static str,
) -> Result<ProgramArray<&'a mut MapData>, LoadError> {
    let missing = || LoadError::NoMap(map);
    let map = ebpf.map_mut(map).ok_or_else(missing)?;
    ProgramArray::try_from(map).map_err(|_other| missing())
}

/// The program for a hook of traffic control, which the kernel verifies and translates if it has not yet.
pub(super) fn verified_at(
    hook: Hook,
    ebpf: &mut Ebpf,
    by_state: bool,
) -> Result<&mut SchedClassifier, LoadError> {
    let name = name(hook, by_state);
    if by_state && classifier(ebpf, name)?.fd().is_err() {
        follow_up(hook, ebpf)?;
    }
    loaded_classifier(ebpf, name)
}

/// A program for traffic control, which the kernel verifies and translates if it has not yet.
fn loaded_classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, LoadError> {
    let program = classifier(ebpf, name)?;
    if program.fd().is_err() {
        program.load().map_err(|error| refusal(name, error))?;
    }
    Ok(program)
}

/// A program for traffic control of a loaded object file.
fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, LoadError> {
    let missing = || LoadError::NoProgram(name);
    let program = ebpf.program_mut(name).ok_or_else(missing)?;
    program.try_into().map_err(|_other| missing())
}

/// How jiffies and the time relate, as one reading of both has it.
fn jiffies(ebpf: &mut Ebpf) -> Result<Ticks, LoadError> {
    let name = abi::CLOCK_PROGRAM;
    let failed = |source| LoadError::Program { name, source };
    let no_clock = |error| failed(io::Error::from(error).into());
    let program = loaded_xdp(ebpf, name)?;
    // The kernel takes no shorter frame (`ETH_HLEN`).
    let frame = [0; 64];
    let options = TestRunOptions {
        data_in: Some(&frame),
        ..TestRunOptions::new()
    };
    let hz = clock::ticks_a_second().map_err(no_clock)?;
    let run = program.test_run(options).map_err(failed)?;
    let time = clock::since_start_awake().map_err(no_clock)?;
    Ok(Ticks::new(hz, time, run.return_value))
}

/// Creates the maps that do not exist, and has the kernel verify and translate the program.
pub(super) fn verified(object: &ObjectFile, setting: &Setting<'_>) -> Result<Ebpf, LoadError> {
    let mut loader = EbpfLoader::new();
    let size = setting.size.bytes();
    let level = logs::level();
    loader
        .override_global(abi::IMAGE_SIZE, &size, true)
        .override_global(aya_log::LEVEL, &level, false)
        .map_pin_path(abi::IMAGES, setting.images)
        .map_max_entries(abi::COUNTERS, Counters::elements(setting.capacity));
    if let Some(counters) = setting.counters {
        loader.map_pin_path(abi::COUNTERS, counters);
    }
    if let Some(pins) = setting.shared {
        for object in Shared::ALL {
            loader.map_pin_path(object.map(), pins.shared(object));
        }
    }
    let by_state = setting.flows.is_some();
    let flows = setting.flows.clone().unwrap_or_default();
    let lines = (flows.slots / LINE_SLOTS).max(1);
    let last_line = lines - 1;
    if by_state {
        loader
            .override_global(abi::FLOW_LAST_LINE, &last_line, true)
            .map_max_entries(abi::FLOW_LINES, lines)
            .map_max_entries(abi::FLOW_TAGS, lines.div_ceil(TAG_LINES))
            .map_max_entries(abi::FLOW_ADDRESSES, lines * LINE_SLOTS)
            .map_max_entries(abi::FLOW_FRAGMENTS, FRAGMENTS);
    }
    for (object, path) in &flows.pins {
        loader.map_pin_path(object.map(), path);
    }
    let mut ebpf = loader.load(object.bytes()).map_err(not_loaded)?;
    loaded_xdp(&mut ebpf, suitable(by_state))?;
    if by_state {
        follow_up(Hook::Xdp, &mut ebpf)?;
    }
    Ok(ebpf)
}

/// Why the object file does not load: of its maps, those of flows may be too large for memory.
fn not_loaded(error: EbpfError) -> LoadError {
    let EbpfError::MapError(MapError::CreateError { name, io_error }) = error else {
        return LoadError::Object(Box::new(error));
    };
    let is_of_flows = FlowObject::TABLE.iter().any(|object| object.map() == name);
    // Before Linux 5.11, memory above the limit of locked memory is EPERM.
    let too_large = [libc::ENOMEM, libc::E2BIG, libc::EPERM];
    let number = io_error.raw_os_error();
    if is_of_flows && number.is_some_and(|number| too_large.contains(&number)) {
        return LoadError::Flows(io_error);
    }
    let error = MapError::CreateError { name, io_error };
    LoadError::Object(Box::new(EbpfError::MapError(error)))
}

/// The XDP program of a loaded object file.
pub(super) fn xdp(ebpf: &mut Ebpf, by_state: bool) -> Result<&mut Xdp, LoadError> {
    xdp_called(ebpf, suitable(by_state))
}

/// An XDP program, which the kernel verifies and translates if it has not yet.
fn loaded_xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, LoadError> {
    let program = xdp_called(ebpf, name)?;
    if program.fd().is_err() {
        program.load().map_err(|error| refusal(name, error))?;
    }
    Ok(program)
}

fn xdp_called<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, LoadError> {
    let missing = || LoadError::NoProgram(name);
    let program = ebpf.program_mut(name).ok_or_else(missing)?;
    program.try_into().map_err(|_other| missing())
}

/// The name of the program for this kernel.
fn suitable(by_state: bool) -> &'static str {
    let name = if takes_frags() {
        abi::PROGRAM
    } else {
        abi::LINEAR_PROGRAM
    };
    variant(name, by_state)
}

/// Whether the kernel supports frames in several buffers: since 5.18, which also introduced the
/// helper that is queried here.
pub(crate) fn takes_frags() -> bool {
    let helper = BpfHelper::BPF_FUNC_xdp_get_buff_len;
    is_helper_supported(ProgramType::Xdp, helper).unwrap_or_else(|error| {
        tracing::debug!(
            event = "frags_unknown",
            %error,
            "support for `xdp.frags` cannot be determined"
        );
        false
    })
}

fn refusal(name: &'static str, error: ProgramError) -> LoadError {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return LoadError::Program {
            name,
            source: error,
        };
    };
    let log = verifier_log.to_string();
    tracing::debug!(event = "verifier_log", "the verifier's log:\n{log}");
    LoadError::Refused {
        name,
        source: VerifierAnswer(io_error),
        tail: Tail::of(&log),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(map: &str, number: i32) -> LoadError {
        let error = MapError::CreateError {
            name: map.to_owned(),
            io_error: io::Error::from_raw_os_error(number),
        };
        not_loaded(EbpfError::MapError(error))
    }

    #[test]
    fn a_table_of_flows_that_is_too_large_is_said_to_be() {
        for object in FlowObject::TABLE {
            for number in [libc::ENOMEM, libc::E2BIG] {
                let LoadError::Flows(error) = refused(object.map(), number) else {
                    panic!("{number} for {object:?}");
                };
                assert_eq!(error.raw_os_error(), Some(number));
            }
        }
        assert!(matches!(
            refused(abi::FLOW_LINES, libc::EINVAL),
            LoadError::Object(_)
        ));
        assert!(matches!(
            refused(abi::IMAGES, libc::ENOMEM),
            LoadError::Object(_)
        ));
    }
}
