//! `firewall status`: what is loaded, as read from the kernel and the image in force.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::{
    commands::{bans, output},
    config::Config,
    control::{
        client,
        in_force::Times,
        protocol::{Answer, Request},
    },
    daemon::privileges,
    error::Error,
    filter::{attachments, plan::PresentLink},
    generation::{
        confirmation,
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
        info::{self, MapFacts, ProgramFacts},
        link::AttachMode,
        pins::PinnedObject,
    },
    text::format::{Alignment, Table, bytes, counted, grouped, utc},
};

/// Show what is loaded
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Status {
    instance: String,
    generation: Generation,
    loaded_at: String,
    version: String,
    daemon: Option<DaemonStatus>,
    /// What waits for its confirmation.
    waiting: Option<Waiting>,
    /// What `firewall rollback` returns to.
    previous: Option<Previous>,
    rules: Rules,
    interfaces: Vec<InterfaceStatus>,
    program: ProgramStatus,
    bans: Bans,
    maps: Vec<MapFacts>,
}

#[derive(Serialize)]
struct Bans {
    count: u64,
    max: u32,
}

#[derive(Serialize)]
struct DaemonStatus {
    pid: u32,
    /// What it has brought into force; `None` while it begins.
    generation: Option<Generation>,
    /// How long that took, stage by stage.
    times: Option<Times>,
    /// The capabilities that it has.
    capabilities: Vec<String>,
}

#[derive(Serialize)]
struct Waiting {
    /// The generation that waits.
    generation: Generation,
    /// How long it still waits; 0 when it waits for a daemon that takes it back.
    seconds_left: f64,
    /// What comes back in its place; `None` when everything is unloaded.
    returns_to: Option<Generation>,
}

#[derive(Serialize)]
struct Previous {
    generation: Generation,
    loaded_at: String,
    file: String,
    sha256: String,
    rules: usize,
    map: MapFacts,
}

#[derive(Serialize)]
struct Rules {
    file: String,
    sha256: String,
    count: usize,
    policy: String,
    mode: String,
    image_bytes: u32,
}

#[derive(Serialize)]
struct InterfaceStatus {
    name: String,
    /// `None` when the interface is gone or the program was detached by somebody else.
    index: Option<u32>,
    /// `None` also when the interface is in another network namespace than this process.
    mode: Option<AttachMode>,
    state: State,
    /// Why it is not attached, if the daemon could not.
    error: Option<String>,
    help: Option<String>,
}

/// What is the matter with an interface, or with a name or glob that fits none.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is filtered.
    Attached,
    /// It is filtered, and in another network namespace than this process.
    Elsewhere,
    /// The interface is gone, or somebody has detached the program.
    Gone,
    /// There is no such interface: it is attached to once there is.
    Waiting,
    /// It is not filtered, since it cannot be.
    Refused,
}

#[derive(Serialize)]
struct ProgramStatus {
    id: u32,
    tag: String,
    verified_instructions: Option<u32>,
    translated_bytes: Option<u32>,
    jited_bytes: u32,
    memory_bytes: Option<u32>,
    loaded_at: Option<String>,
}

/// Prints the status.
pub(crate) async fn run(config: &Config, args: StatusArgs) -> Result<(), Error> {
    let status = collect(config).await?;
    let text = if args.json {
        output::json(&status)?
    } else {
        status.to_text()
    };
    output::print(&text)
}

/// Reads the status; again when maps were freed meanwhile, since another generation came into force.
async fn collect(config: &Config) -> Result<Status, Error> {
    loop {
        if let Some(status) = collect_once(config).await? {
            return Ok(status);
        }
    }
}

async fn collect_once(config: &Config) -> Result<Option<Status>, Error> {
    let loaded = in_force::read(config)?;
    let mut unattached = Vec::new();
    let daemon = match client::ask(&config.run, &config.instance, &Request::Ping {}).await {
        Ok(Answer::Alive {
            pid,
            generation,
            times,
            unattached: its,
        }) => {
            unattached = its;
            Some(DaemonStatus {
                pid,
                generation,
                times,
                capabilities: privileges::of(pid),
            })
        }
        Ok(
            Answer::Done { .. }
            | Answer::Failed { .. }
            | Answer::Ending
            | Answer::Bans(_)
            | Answer::Capturing { .. },
        )
        | Err(_) => None,
    };
    let links = attachments::inspect(&attachments::open(&config.pins)?)?;
    let interfaces = list::list().await?;
    let program = info::program(&config.pins.object(PinnedObject::Program))?;
    let maps = program.maps.iter().copied().chain([loaded.image]);
    let maps: Option<Vec<MapFacts>> = maps.map(info::map).collect::<Result<_, _>>()?;
    let Some(maps) = maps else {
        return Ok(None);
    };
    let in_force = &loaded.metadata;
    let deadline =
        Pinned::unconfirmed(&config.pins, in_force.generation).map_err(PinnedError::from)?;
    let previous = match Pinned::previous(&config.pins, in_force.generation)? {
        Some(earlier) => match Previous::new(&earlier)? {
            Some(previous) => Some(previous),
            None => return Ok(None),
        },
        None => None,
    };
    let waiting = deadline.map(|deadline| Waiting {
        generation: in_force.generation,
        seconds_left: deadline.remaining().as_secs_f64(),
        returns_to: previous.as_ref().map(|previous| previous.generation),
    });
    let (count, max) = bans::count(&config.pins)?;
    Ok(Some(Status {
        bans: Bans { count, max },
        instance: config.instance.clone(),
        generation: loaded.metadata.generation,
        loaded_at: utc(loaded.metadata.loaded_at()),
        version: loaded.metadata.version.clone(),
        daemon,
        waiting,
        previous,
        rules: Rules::new(&loaded),
        interfaces: links
            .iter()
            .map(|link| InterfaceStatus::new(link, &interfaces))
            .chain(unattached.into_iter().map(InterfaceStatus::from))
            .collect(),
        maps,
        program: ProgramStatus::new(program),
    }))
}

impl Previous {
    /// `None` when the kernel has freed it meanwhile.
    fn new(earlier: &Pinned) -> Result<Option<Self>, Error> {
        let Metadata {
            generation,
            file,
            sha256,
            rules,
            ..
        } = &earlier.metadata;
        let id = earlier.image.id().map_err(PinnedError::from)?;
        Ok(info::map(id)?.map(|map| Self {
            generation: *generation,
            loaded_at: utc(earlier.metadata.loaded_at()),
            file: file.display().to_string(),
            sha256: sha256.clone(),
            rules: rules.len(),
            map,
        }))
    }
}

impl Rules {
    fn new(loaded: &Loaded) -> Self {
        let Metadata {
            file,
            sha256,
            mode,
            policy,
            rules,
            ..
        } = &loaded.metadata;
        Self {
            file: file.display().to_string(),
            sha256: sha256.clone(),
            count: rules.len(),
            policy: policy.clone(),
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
                let mut programs = interface.programs.iter();
                let attached = programs.find(|attached| attached.program == link.program)?;
                Some((interface, attached.mode))
            });
        Self {
            name: found
                .map_or(&link.name, |(interface, _)| &interface.name)
                .clone(),
            index: link.interface.map(|index| index.0),
            mode: found.map(|(_, mode)| mode),
            state: match (found, link.interface) {
                (Some(_), _) => State::Attached,
                (None, Some(_)) => State::Elsewhere,
                (None, None) => State::Gone,
            },
            error: None,
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
            state: if error.is_some() {
                State::Refused
            } else {
                State::Waiting
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

impl Status {
    fn to_text(&self) -> String {
        let mut lines = vec![
            format!("instance    {}", self.instance),
            match &self.daemon {
                Some(DaemonStatus {
                    pid,
                    generation,
                    capabilities,
                    ..
                }) => {
                    let state = if generation.is_some() {
                        "running"
                    } else {
                        "starting"
                    };
                    format!(
                        "daemon      {state}, process {pid}, with {}",
                        capabilities.join(", ")
                    )
                }
                None => "daemon      not running; the rules below stay in force".to_owned(),
            },
            format!(
                "generation  {}, loaded {} by version {}",
                self.generation, self.loaded_at, self.version
            ),
            format!(
                "rules       {}, {}",
                self.rules.file,
                counted(self.rules.count, "rule")
            ),
            format!("sha256      {}", self.rules.sha256),
            format!(
                "bans        {} of at most {}",
                grouped(self.bans.count),
                grouped(self.bans.max.into())
            ),
            format!(
                "policy      {}, mode {}, image {}",
                self.rules.policy,
                self.rules.mode,
                bytes(self.rules.image_bytes.into())
            ),
            self.program.to_text(),
        ];
        if let Some(times) = self.daemon.as_ref().and_then(|daemon| daemon.times) {
            lines.push(format!("times       {times}"));
        }
        if let Some(previous) = &self.previous {
            lines.push(format!(
                "previous    generation {}, {}, {}, {}; `firewall rollback` returns to it",
                previous.generation,
                previous.file,
                counted(previous.rules, "rule"),
                bytes(previous.map.memory)
            ));
        }
        if let Some(waiting) = &self.waiting {
            lines.push(format!(
                "waiting     {}",
                waiting.to_text(self.daemon.is_some())
            ));
        }
        lines.push(String::new());
        let mut table = Table::new(&[
            ("INTERFACE", Alignment::Left),
            ("ATTACHED", Alignment::Left),
        ]);
        for interface in &self.interfaces {
            let attached = match interface.state {
                State::Attached => interface
                    .mode
                    .map_or_else(String::new, |mode| mode.to_string()),
                State::Elsewhere => "yes, in another network namespace".to_owned(),
                State::Gone => "no: removed or detached by another program".to_owned(),
                State::Waiting => "no: waiting for it to appear".to_owned(),
                State::Refused => format!("no: {}", interface.error.as_deref().unwrap_or("?")),
            };
            table.row([interface.name.clone(), attached]);
        }
        lines.push(table.to_string());
        lines.push(self.map_table().to_string());
        lines.join("\n")
    }

    fn map_table(&self) -> Table {
        let mut table = Table::new(&[
            ("MAP", Alignment::Left),
            ("ID", Alignment::Right),
            ("ENTRIES", Alignment::Right),
            ("VALUE", Alignment::Right),
            ("MEMORY", Alignment::Right),
        ]);
        for map in &self.maps {
            table.row([
                map.name.clone(),
                map.id.to_string(),
                grouped(map.entries.into()),
                bytes(map.value_bytes.into()),
                bytes(map.memory),
            ]);
        }
        table
    }
}

impl Waiting {
    fn to_text(&self, is_served: bool) -> String {
        if is_served {
            let left = Duration::try_from_secs_f64(self.seconds_left).unwrap_or(Duration::ZERO);
            let waiting = confirmation::AwaitingConfirmation {
                generation: self.generation,
                previous: self.returns_to,
                left,
            };
            waiting.to_string()
        } else {
            "for `firewall confirm`; no daemon is running that would roll back".to_owned()
        }
    }
}

impl ProgramStatus {
    fn to_text(&self) -> String {
        let verified = self
            .verified_instructions
            .map_or_else(String::new, |count| {
                format!(", {} instructions verified", grouped(count.into()))
            });
        let jited = match self.jited_bytes {
            0 => "not JITed: the kernel interprets it".to_owned(),
            count => format!("JITed to {}", bytes(count.into())),
        };
        format!(
            "program     id {}, tag {}{verified}, {jited}",
            self.id, self.tag
        )
    }
}
