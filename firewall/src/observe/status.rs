//! What is loaded, as the kernel and the image in force say.

use std::{error::Error as StdError, slice};

use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    error::Error,
    filter::{attachments, plan::PresentLink},
    generation::{
        in_force::{self, Loaded},
        metadata::Metadata,
        pinned::{Pinned, PinnedError},
    },
    interfaces::{
        list::{self, Interface},
        unattached::Unattached,
    },
    kernel::{
        generation::Generation,
        hook::Hook,
        info::{self, MapFacts, ProgramFacts},
        link::{self, AttachMode},
        pins::PinnedObject,
    },
    observe::{bans, flows::FlowStatus},
    text::{causes::Causes, format::utc},
};

/// What is loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The name of the instance.
    pub instance: String,
    /// The generation in force; like all that follows from the image, `None` when that cannot be read.
    pub generation: Option<Generation>,
    /// When it came into force: RFC 3339, in UTC.
    pub loaded_at: Option<String>,
    /// The version of `firewall` that loaded it.
    pub version: Option<String>,
    /// The inode of the network namespace that it was loaded in.
    pub loaded_in: Option<u64>,
    /// What waits for its confirmation.
    pub waiting: Option<WaitingStatus>,
    /// What `firewall rollback` returns to.
    pub previous: Option<PreviousStatus>,
    /// The rule file.
    pub rules: Option<RulesStatus>,
    /// The interfaces that have the program, or had it.
    pub interfaces: Vec<InterfaceStatus>,
    /// The XDP program; `None` when its pin cannot be read.
    pub program: Option<ProgramStatus>,
    /// The programs at the hooks of traffic control; none where no rule needs one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic_control: Vec<TrafficControlStatus>,
    /// How full the table of bans is; `None` when their pins cannot be read.
    pub bans: Option<BanStatus>,
    /// How full the table of flows is; `None` where no rule asks for states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<FlowStatus>,
    /// The BPF maps of the program, and the image.
    pub maps: Vec<MapFacts>,
    /// Why parts of this cannot be read.
    pub unreadable: Vec<String>,
}

/// How full the table of bans is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BanStatus {
    /// Bans, some of which may have ended.
    pub count: u64,
    /// The maximum.
    pub max: u32,
}

/// A generation that waits for its confirmation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitingStatus {
    /// The generation that waits.
    pub generation: Generation,
    /// How long it still waits; 0 when it waits for a daemon that takes it back.
    pub seconds_left: f64,
    /// What comes back in its place; `None` when everything is unloaded.
    pub returns_to: Option<Generation>,
}

/// The generation before the one in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PreviousStatus {
    /// Its number.
    pub generation: Generation,
    /// When it came into force: RFC 3339, in UTC.
    pub loaded_at: String,
    /// Its rule file.
    pub file: String,
    /// The SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// The number of its rules.
    pub rules: usize,
    /// The BPF map of its image.
    pub map: MapFacts,
}

/// The rules in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RulesStatus {
    /// The rule file.
    pub file: String,
    /// The SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// The number of rules.
    pub count: usize,
    /// The verdict on packets in that no rule matches: `pass` or `drop`.
    pub policy: String,
    /// The verdict on packets out that no rule matches: `pass` or `drop`.
    pub policy_out: String,
    /// Whether packets out are filtered: a rule or `policy_out` asks for it.
    pub egress: bool,
    /// `native`, `generic` or `auto`.
    pub mode: String,
    /// The size of the image.
    pub image_bytes: u32,
}

/// An interface, and whether it is filtered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `None` when the interface is gone or the program was detached by somebody else.
    pub index: Option<u32>,
    /// The mode of the XDP program. `None` also when the interface is in another network namespace than this
    /// process, or has no Ethernet header.
    pub mode: Option<AttachMode>,
    /// The hook at which packets in are filtered: `xdp`, or `ingress` of traffic control on an interface without Ethernet
    /// header; `None` where nothing is attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Whether it is filtered.
    pub state: InterfaceState,
    /// Why it is not attached, if the daemon could not, or why its link cannot be read.
    pub error: Option<String>,
    /// What to do about that error.
    pub help: Option<String>,
}

/// Whether an interface is filtered; also of a name or glob that matches none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterfaceState {
    /// It is filtered.
    Attached,
    /// It is filtered, and in another network namespace than this process.
    Elsewhere,
    /// The interface is gone, or somebody has detached the program.
    Gone,
    /// The pin of its link cannot be read.
    Unknown,
    /// There is no such interface: it is attached to once there is.
    Waiting,
    /// It is not filtered, since it cannot be.
    Refused,
}

/// The program at a hook of traffic control of an interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrafficControlStatus {
    /// The name of the interface.
    pub interface: String,
    /// `egress` or `ingress`.
    pub hook: String,
    /// Whether the program runs there.
    pub state: InterfaceState,
    /// The program.
    pub program: ProgramStatus,
    /// All programs there, in the order in which they run.
    pub order: Vec<ProgramAtHook>,
}

/// A program at a hook of traffic control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramAtHook {
    /// The kernel's number.
    pub id: u32,
    /// Its name, if this process has the privilege to query it.
    pub name: Option<String>,
    /// Whether it is that of this instance.
    pub own: bool,
}

impl TrafficControlStatus {
    /// `None` for a link of another hook.
    fn new(link: &PresentLink, interfaces: &[Interface], config: &Config) -> Option<Self> {
        let object = match link.hook {
            Hook::Xdp => return None,
            Hook::BareIngress | Hook::Egress | Hook::BareEgress => {
                PinnedObject::program_of(link.hook)
            }
        };
        // Another generation may just have come into force.
        let program = info::program(&config.pins.object(object)).ok()?;
        let mut order = Vec::new();
        if let (Some(index), false) = (link.interface, link.is_elsewhere) {
            let programs = link::programs_at(link.hook, index.0).unwrap_or_default();
            order.extend(programs.into_iter().map(|id| ProgramAtHook {
                id,
                name: info::program_name(id),
                own: id == link.program,
            }));
        }
        Some(Self {
            interface: current_name(link, interfaces),
            hook: link.hook.to_string(),
            state: match (link.interface, link.is_elsewhere) {
                (Some(_), false) => InterfaceState::Attached,
                (Some(_), true) => InterfaceState::Elsewhere,
                (None, _) => InterfaceState::Gone,
            },
            program: ProgramStatus::new(program),
            order,
        })
    }
}

/// The name that the interface of a link of traffic control has now.
fn current_name(link: &PresentLink, interfaces: &[Interface]) -> String {
    let mut interfaces = interfaces.iter();
    let found =
        interfaces.find(|interface| !link.is_elsewhere && Some(interface.index) == link.interface);
    found
        .map_or(&link.name, |interface| &interface.name)
        .clone()
}

/// The XDP program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// The kernel's number.
    pub id: u32,
    /// A hash of its instructions, as `bpftool` prints it.
    pub tag: String,
    /// The instructions that the verifier processed (Linux 5.16).
    pub verified_instructions: Option<u32>,
    /// The size of the eBPF code.
    pub translated_bytes: Option<u32>,
    /// The size of the machine code; 0 when the program is interpreted.
    pub jited_bytes: u32,
    /// The memory that it takes.
    pub memory_bytes: Option<u32>,
    /// When it was loaded: RFC 3339, in UTC.
    pub loaded_at: Option<String>,
}

impl Status {
    /// Reads the status; again when maps were freed meanwhile, since another generation came into
    /// force.
    ///
    /// # Errors
    ///
    /// When nothing is loaded, or the kernel refuses a query.
    pub async fn read(config: &Config) -> Result<Self, Error> {
        loop {
            let mut failures = Failures::default();
            let loaded = match in_force::read(config) {
                Err(error) if error.is_of_pins() => failures.note(Err(error)),
                loaded => Some(loaded?),
            };
            if let Some(status) = Self::read_once(config, loaded.as_ref(), failures).await? {
                return Ok(status);
            }
        }
    }

    /// Reads the status with what is known of the image in force, by a process that may lack the privilege to query all
    /// maps; again when maps were freed meanwhile.
    ///
    /// # Errors
    ///
    /// When the kernel refuses another query.
    pub(crate) async fn of_loaded(config: &Config, loaded: Option<&Loaded>) -> Result<Self, Error> {
        loop {
            let failures = Failures::default();
            if let Some(status) = Self::read_once(config, loaded, failures).await? {
                return Ok(status);
            }
        }
    }

    async fn read_once(
        config: &Config,
        loaded: Option<&Loaded>,
        mut failures: Failures,
    ) -> Result<Option<Self>, Error> {
        let interfaces = list::list().await?;
        let path = config.pins.object(PinnedObject::Program);
        let program = failures.note(info::program(&path));
        let maps = program.iter().flat_map(|program| program.maps.clone());
        let maps = maps.chain(loaded.map(|loaded| loaded.image));
        let maps = maps.map(info::map).filter(|map| {
            let is_forbidden = map.as_ref().is_err_and(info::is_forbidden);
            !is_forbidden
        });
        let maps: Option<Vec<MapFacts>> = maps.collect::<Result<_, _>>()?;
        let Some(maps) = maps else {
            return Ok(None);
        };
        let (mut waiting, mut previous) = (None, None);
        if let Some(Loaded { metadata, .. }) = loaded {
            let generation = metadata.generation;
            if let Some(Some(earlier)) = failures.note(Pinned::previous(&config.pins, generation)) {
                previous = Some(PreviousStatus::new(&earlier)?);
            }
            let deadline = failures.note(Pinned::unconfirmed(&config.pins, generation));
            waiting = deadline.flatten().map(|deadline| WaitingStatus {
                generation,
                seconds_left: deadline.remaining().as_secs_f64(),
                returns_to: previous.as_ref().map(|previous| previous.generation),
            });
        }
        let bans = failures.note(bans::count(&config.pins));
        let flows = failures.note(FlowStatus::read(config)).flatten();
        let id = program.as_ref().map(|program| program.id);
        let metadata = loaded.map(|loaded| &loaded.metadata);
        let (interfaces, traffic_control) = link_states(config, &interfaces, id)?;
        Ok(Some(Self {
            bans: bans.map(|(count, max)| BanStatus { count, max }),
            flows,
            instance: config.instance.clone(),
            generation: metadata.map(|metadata| metadata.generation),
            loaded_at: metadata.map(|metadata| utc(metadata.loaded_at())),
            version: metadata.map(|metadata| metadata.version.clone()),
            loaded_in: metadata.and_then(|metadata| metadata.netns),
            waiting,
            previous,
            rules: loaded.map(RulesStatus::new),
            interfaces,
            traffic_control,
            maps,
            program: program.map(ProgramStatus::new),
            unreadable: failures.messages,
        }))
    }
}

/// Why parts of a status cannot be read.
#[derive(Default)]
struct Failures {
    messages: Vec<String>,
}

impl Failures {
    /// What was read, or nothing.
    fn note<T, E: StdError>(&mut self, read: Result<T, E>) -> Option<T> {
        read.inspect_err(|error| self.messages.push(Causes(error).to_string()))
            .ok()
    }
}

/// The interfaces whose links are pinned, and what runs at the hooks of traffic control; `program` is the XDP program
/// in force.
fn link_states(
    config: &Config,
    interfaces: &[Interface],
    program: Option<u32>,
) -> Result<(Vec<InterfaceStatus>, Vec<TrafficControlStatus>), Error> {
    let opened = attachments::open_each(&config.pins)?;
    let (mut states, mut traffic_control) = (Vec::new(), Vec::new());
    for attachment in &opened.attachments {
        match attachments::inspect(slice::from_ref(attachment)) {
            Ok(links) => {
                for link in &links {
                    if !link.hook.is_egress() {
                        states.push(InterfaceStatus::new(link, interfaces));
                    }
                    traffic_control.extend(TrafficControlStatus::new(link, interfaces, config));
                }
            }
            Err(error) => {
                let (hook, name) = (attachment.link.hook(), attachment.name.clone());
                let unpinned = InterfaceStatus::unpinned(hook, name, &error, interfaces, program);
                states.push(unpinned);
            }
        }
    }
    for (hook, name, error) in opened.failed {
        let unpinned = InterfaceStatus::unpinned(hook, name, &error, interfaces, program);
        states.push(unpinned);
    }
    Ok((states, traffic_control))
}

impl PreviousStatus {
    fn new(earlier: &Pinned) -> Result<Self, PinnedError> {
        let Metadata {
            generation,
            file,
            sha256,
            rules,
            ..
        } = &earlier.metadata;
        let map = earlier.image.facts()?;
        Ok(Self {
            generation: *generation,
            loaded_at: utc(earlier.metadata.loaded_at()),
            file: file.display().to_string(),
            sha256: sha256.clone(),
            rules: rules.len(),
            map,
        })
    }
}

impl RulesStatus {
    fn new(loaded: &Loaded) -> Self {
        let Metadata {
            file,
            sha256,
            mode,
            policy,
            policy_out,
            egress,
            rules,
            ..
        } = &loaded.metadata;
        Self {
            file: file.display().to_string(),
            sha256: sha256.clone(),
            count: rules.len(),
            policy: policy.clone(),
            policy_out: policy_out.clone(),
            egress: *egress,
            mode: mode.clone(),
            image_bytes: loaded.description.length,
        }
    }
}

impl InterfaceStatus {
    fn new(link: &PresentLink, interfaces: &[Interface]) -> Self {
        // Indexes are of one network namespace: another one may have another interface under the
        // same index, which does not run the program.
        let found = interfaces
            .iter()
            .filter(|interface| Some(interface.index) == link.interface)
            .find_map(|interface| {
                if link.hook != Hook::Xdp {
                    return (!link.is_elsewhere).then_some((interface, None));
                }
                let mut programs = interface.programs.iter();
                let attached = programs.find(|attached| attached.program == link.program)?;
                Some((interface, Some(attached.mode)))
            });
        Self {
            name: found
                .map_or(&link.name, |(interface, _)| &interface.name)
                .clone(),
            index: link.interface.map(|index| index.0),
            mode: found.and_then(|(_, mode)| mode),
            hook: link.interface.map(|_| link.hook.to_string()),
            state: match (found, link.interface) {
                (Some(_), _) => InterfaceState::Attached,
                (None, Some(_)) => InterfaceState::Elsewhere,
                (None, None) => InterfaceState::Gone,
            },
            error: None,
            help: None,
        }
    }
}

impl InterfaceStatus {
    /// The state of an interface whose link cannot be read at its pin: the interface may say that it runs the program.
    fn unpinned(
        hook: Hook,
        name: String,
        error: &dyn StdError,
        interfaces: &[Interface],
        program: Option<u32>,
    ) -> Self {
        let mut interfaces = interfaces.iter();
        let found = interfaces.find(|interface| hook == Hook::Xdp && interface.name == name);
        let attached = found.and_then(|interface| {
            let mut programs = interface.programs.iter();
            let attached = programs.find(|attached| Some(attached.program) == program)?;
            Some((interface.index, attached.mode))
        });
        Self {
            name,
            index: attached.map(|(index, _)| index.0),
            mode: attached.map(|(_, mode)| mode),
            hook: attached.map(|_| hook.to_string()),
            state: match attached {
                Some(_) => InterfaceState::Attached,
                None => InterfaceState::Unknown,
            },
            error: Some(Causes(error).to_string()),
            help: None,
        }
    }
}

impl From<Unattached> for InterfaceStatus {
    fn from(unattached: Unattached) -> Self {
        let Unattached { name, error, help } = unattached;
        Self {
            name,
            index: None,
            mode: None,
            hook: None,
            state: if error.is_some() {
                InterfaceState::Refused
            } else {
                InterfaceState::Waiting
            },
            error,
            help,
        }
    }
}

impl ProgramStatus {
    fn new(facts: ProgramFacts) -> Self {
        Self {
            id: facts.id,
            tag: facts.tag,
            verified_instructions: facts.verified_instructions,
            translated_bytes: facts.translated_bytes,
            jited_bytes: facts.jited_bytes,
            memory_bytes: facts.memory,
            loaded_at: facts.loaded_at.map(utc),
        }
    }
}
