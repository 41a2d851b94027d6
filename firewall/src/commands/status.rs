//! `firewall status`: prints what is loaded, and what the daemon says of itself.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::{
    commands::{output, reports::read_or_ask},
    config::Config,
    control::{
        client,
        in_force::Times,
        protocol::{Answer, ReportRequest, Request},
    },
    daemon::privileges,
    error::Error,
    generation::confirmation,
    interfaces::{namespace::NetworkNamespace, unattached::Unattached},
    kernel::generation::Generation,
    observe::status::{
        InterfaceState, InterfaceStatus, ProgramAtHook, ProgramStatus, RulesStatus, Status,
        WaitingStatus,
    },
    rule_file::fallback::LastGood,
    text::format::{Alignment, Table, bytes, counted, grouped},
};

/// Show what is loaded
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The status, and the daemon.
#[derive(Serialize)]
struct StatusReport {
    #[serde(flatten)]
    status: Status,
    daemon: Option<DaemonStatus>,
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
    /// Its network namespace, whose interfaces it filters; `None` when it is in another PID namespace.
    netns: Option<DaemonNamespace>,
    /// Why the rules in force are the last good ones and not those of the rule file, if they are.
    last_good: Option<LastGood>,
    /// What is wrong with pins, links and the run folder.
    faults: Vec<String>,
}

#[derive(Clone, Serialize)]
struct DaemonNamespace {
    #[serde(flatten)]
    namespace: NetworkNamespace,
    /// Whether this command runs in it, too.
    is_own: bool,
}

impl DaemonNamespace {
    fn of(daemon: u32) -> Option<Self> {
        let namespace = NetworkNamespace::of(daemon).ok()?;
        let is_own = NetworkNamespace::own().is_ok_and(|own| own == namespace);
        Some(Self { namespace, is_own })
    }

    fn with_inode(inode: u64) -> Option<Self> {
        let is_own = NetworkNamespace::own().ok()?.inode == inode;
        Some(Self {
            namespace: NetworkNamespace::with_inode(inode),
            is_own,
        })
    }
}

/// Prints the status.
pub(crate) async fn run(config: &Config, args: StatusArgs) -> Result<(), Error> {
    let report = StatusReport::read(config).await?;
    let text = if args.json {
        output::json(&report)?
    } else {
        report.to_text()
    };
    output::print(&text)
}

/// What the daemon says of itself, if one runs, and the interfaces that it cannot filter.
async fn ask_daemon(config: &Config) -> (Option<DaemonStatus>, Vec<Unattached>) {
    match client::ask(config, &Request::Ping {}).await {
        Ok(Answer::Alive {
            pid,
            generation,
            times,
            unattached,
            faults,
            last_good,
        }) => {
            let daemon = DaemonStatus {
                pid,
                generation,
                times,
                capabilities: privileges::of(pid),
                netns: DaemonNamespace::of(pid),
                last_good,
                faults,
            };
            (Some(daemon), unattached)
        }
        Ok(
            Answer::Done { .. }
            | Answer::Failed(_)
            | Answer::Ending
            | Answer::Bans(_)
            | Answer::Capturing { .. }
            | Answer::Addresses(_)
            | Answer::Report { .. },
        )
        | Err(_) => (None, Vec::new()),
    }
}

impl StatusReport {
    async fn read(config: &Config) -> Result<Self, Error> {
        let request = ReportRequest::Status {};
        let mut status = read_or_ask(config, request, async || Status::read(config).await).await?;
        let (daemon, unattached) = ask_daemon(config).await;
        let unattached = unattached.into_iter().map(InterfaceStatus::from);
        status.interfaces.extend(unattached);
        Ok(Self { status, daemon })
    }

    fn to_text(&self) -> String {
        let mut lines = vec![
            format!("instance    {}", self.status.instance),
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
        ];
        lines.extend(self.facts());
        if let Some(netns) = self.namespace() {
            let other = if netns.is_own {
                ""
            } else {
                ", not that of this command"
            };
            lines.push(format!("netns       {}{other}", netns.namespace));
        }
        if let Some(last_good) = self.daemon.as_ref().and_then(|of| of.last_good.as_ref()) {
            lines.push(format!("last good   {last_good}"));
        }
        if let Some(times) = self.daemon.as_ref().and_then(|daemon| daemon.times) {
            lines.push(format!("times       {times}"));
        }
        let faults = self.daemon.iter().flat_map(|daemon| &daemon.faults);
        // The daemon may have found the same.
        let unreadable = self.status.unreadable.iter();
        let unreadable = unreadable.filter(|found| !faults.clone().any(|fault| fault == *found));
        let faults = faults.clone().chain(unreadable);
        lines.extend(faults.map(|fault| format!("fault       {fault}")));
        if let Some(previous) = &self.status.previous {
            lines.push(format!(
                "previous    generation {}, {}, {}, {}; `firewall rollback` returns to it",
                previous.generation,
                previous.file,
                counted(previous.rules, "rule"),
                bytes(previous.map.memory)
            ));
        }
        if let Some(waiting) = &self.status.waiting {
            lines.push(format!(
                "waiting     {}",
                waiting_in_words(waiting, self.daemon.is_some())
            ));
        }
        lines.push(String::new());
        let mut table = Table::new(&[
            ("INTERFACE", Alignment::Left),
            ("ATTACHED", Alignment::Left),
        ]);
        for interface in &self.status.interfaces {
            let attached = match interface.state {
                InterfaceState::Attached => {
                    let mode = interface.mode.map(|mode| mode.to_string());
                    let mode = mode.unwrap_or_else(|| "by traffic control".to_owned());
                    let error = interface.error.as_ref().map(|error| format!("; {error}"));
                    mode + &error.unwrap_or_default()
                }
                InterfaceState::Elsewhere => "yes, in another network namespace".to_owned(),
                InterfaceState::Gone => "no: removed or detached by another program".to_owned(),
                InterfaceState::Unknown => {
                    format!("not known: {}", interface.error.as_deref().unwrap_or("?"))
                }
                InterfaceState::Waiting => "no: waiting for it to appear".to_owned(),
                InterfaceState::Refused => {
                    format!("no: {}", interface.error.as_deref().unwrap_or("?"))
                }
            };
            table.row([interface.name.clone(), attached]);
        }
        lines.push(table.to_string());
        if !self.status.traffic_control.is_empty() {
            lines.push(self.traffic_control_table().to_string());
        }
        lines.push(self.map_table().to_string());
        lines.join("\n")
    }

    /// What is known of the rules, the bans and the program.
    fn facts(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let status = &self.status;
        if let (Some(generation), Some(loaded_at), Some(version)) =
            (status.generation, &status.loaded_at, &status.version)
        {
            lines.push(format!(
                "generation  {generation}, loaded {loaded_at} by version {version}"
            ));
        }
        if let Some(rules) = &status.rules {
            lines.push(format!(
                "rules       {}, {}",
                rules.file,
                counted(rules.count, "rule")
            ));
            lines.push(format!("sha256      {}", rules.sha256));
        }
        if let Some(bans) = &status.bans {
            lines.push(format!(
                "bans        {} of at most {}",
                grouped(bans.count),
                grouped(bans.max.into())
            ));
        }
        if let Some(flows) = &status.flows {
            lines.push(format!("flows       {}", flows.in_words()));
        }
        if let Some(rules) = &status.rules {
            lines.push(format!(
                "policy      {}, mode {}, image {}",
                policy_in_words(rules),
                rules.mode,
                bytes(rules.image_bytes.into())
            ));
        }
        lines.extend(status.program.as_ref().map(program_in_words));
        lines
    }

    /// The network namespace of the daemon or, without one, another than this that the rules were loaded in.
    fn namespace(&self) -> Option<DaemonNamespace> {
        match &self.daemon {
            Some(daemon) => daemon.netns.clone(),
            None => DaemonNamespace::with_inode(self.status.loaded_in?).filter(|of| !of.is_own),
        }
    }

    fn traffic_control_table(&self) -> Table {
        let mut table = Table::new(&[
            ("INTERFACE", Alignment::Left),
            ("HOOK", Alignment::Left),
            ("PROGRAMS IN ORDER", Alignment::Left),
        ]);
        for at in &self.status.traffic_control {
            let programs = match at.state {
                InterfaceState::Attached => order_in_words(&at.order),
                InterfaceState::Elsewhere => "in another network namespace".to_owned(),
                InterfaceState::Gone => "none: removed or detached by another program".to_owned(),
                InterfaceState::Unknown | InterfaceState::Waiting | InterfaceState::Refused => {
                    "?".to_owned()
                }
            };
            table.row([at.interface.clone(), at.hook.clone(), programs]);
        }
        table
    }

    fn map_table(&self) -> Table {
        let mut table = Table::new(&[
            ("MAP", Alignment::Left),
            ("ID", Alignment::Right),
            ("ENTRIES", Alignment::Right),
            ("VALUE", Alignment::Right),
            ("MEMORY", Alignment::Right),
        ]);
        for map in &self.status.maps {
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

fn order_in_words(order: &[ProgramAtHook]) -> String {
    let words = order.iter().map(|program| {
        let name = program.name.as_deref().unwrap_or("?");
        let own = if program.own { ", this one" } else { "" };
        format!("{name} (id {}{own})", program.id)
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The policy, and that for packets out if these are filtered.
fn policy_in_words(rules: &RulesStatus) -> String {
    let out = rules.egress.then_some(&rules.policy_out);
    out.map_or_else(
        || rules.policy.clone(),
        |out| format!("{} (in), {out} (out)", rules.policy),
    )
}

fn waiting_in_words(waiting: &WaitingStatus, is_served: bool) -> String {
    if is_served {
        let left = Duration::try_from_secs_f64(waiting.seconds_left).unwrap_or(Duration::ZERO);
        let awaiting = confirmation::AwaitingConfirmation {
            generation: waiting.generation,
            previous: waiting.returns_to,
            left,
        };
        awaiting.to_string()
    } else {
        "for `firewall confirm`; no daemon is running that would roll back".to_owned()
    }
}

fn program_in_words(program: &ProgramStatus) -> String {
    let verified = program
        .verified_instructions
        .map_or_else(String::new, |count| {
            format!(", {} instructions verified", grouped(count.into()))
        });
    let jited = match program.jited_bytes {
        0 => "not JITed: the kernel interprets it".to_owned(),
        count => format!("JITed to {}", bytes(count.into())),
    };
    format!(
        "program     id {}, tag {}{verified}, {jited}",
        program.id, program.tag
    )
}
