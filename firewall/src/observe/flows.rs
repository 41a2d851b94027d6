//! The flows: between whom, what they have come to, and for how long they are kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_ebpf::flows::{FlowEvent, Phase, Protocol};
use serde::Serialize;

use crate::{
    bans::prefix::Prefix,
    config::Config,
    error::Error,
    generation::in_force,
    kernel::{
        flows::{FlowTable, FlowsError, ListedFlow},
        pins::Pins,
    },
    text::format::grouped,
};

/// The flows of a firewall.
#[derive(Debug, Serialize)]
pub struct FlowListing {
    /// The number of slots of the table.
    pub max: u32,
    /// The flows, sorted by protocol and ends.
    pub flows: Vec<FlowEntry>,
    /// TCP connections over IPv4 that others began, and that are between their second and their third packet: the
    /// table has no room for both of their ends then.
    pub handshakes: u32,
    /// The numbers of events since the table was made.
    pub events: FlowEvents,
}

/// What has happened to flows since their table was made.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FlowEvents {
    /// Flows that were added.
    pub added: u64,
    /// Flows that were not answered, or over, and gave way to others.
    pub evicted_unanswered: u64,
    /// Answered flows that gave way to others: the table was too small.
    pub evicted_answered: u64,
    /// Flows that were not added, since two CPUs stored in the same slots.
    pub lost: u64,
}

/// How full the table of flows is.
#[derive(Clone, Debug, Serialize)]
pub struct FlowStatus {
    /// Flows that have not expired.
    pub count: u32,
    /// The number of slots.
    pub max: u32,
    /// What has happened to flows.
    #[serde(flatten)]
    pub events: FlowEvents,
}

impl FlowStatus {
    /// As people read it.
    pub(crate) fn in_words(&self) -> String {
        let evicted = match self.events.evicted_answered {
            0 => String::new(),
            number => format!(", {} evicted while answered", grouped(number)),
        };
        let (count, max) = (grouped(self.count.into()), grouped(self.max.into()));
        format!("{count} of at most {max}{evicted}")
    }

    /// Reads it; `None` where no rule asks for states.
    pub(crate) fn read(config: &Config) -> Result<Option<Self>, FlowsError> {
        let Some(table) = table(config)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            count: table.count()?,
            max: table.slots(),
            events: FlowEvents::read(&table)?,
        }))
    }
}

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FlowEntry {
    /// `tcp`, `udp`, `echo`, or the number of another protocol.
    pub protocol: String,
    /// The end that began it.
    pub from: FlowEnd,
    /// The other end.
    pub to: FlowEnd,
    /// `unanswered`, `incoming`, `answered`, `half-closed`, `closed` or `reset`.
    pub phase: String,
    /// The seconds since its last packet, up to 4 more, or 32 of an answered TCP connection.
    pub idle_seconds: u32,
    /// The seconds after which it is forgotten, likewise.
    pub seconds_left: u32,
    #[serde(skip)]
    listed: Listed,
}

/// An end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FlowEnd {
    /// The address.
    pub address: IpAddr,
    /// The port, or the identifier of an echo; `None` for other protocols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// The words of a flow, which say whether a slot has it still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    index: u32,
    first: u64,
}

/// Which flows are meant; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowFilter {
    /// The protocol, as it is shown.
    pub(crate) protocol: Option<String>,
    /// Prefixes, one of which an end lies in.
    pub(crate) addresses: Vec<Prefix>,
    /// The port of an end.
    pub(crate) port: Option<u16>,
    /// What it has come to.
    pub(crate) phase: Option<String>,
}

impl FlowFilter {
    /// Whether all flows are meant.
    fn is_open(&self) -> bool {
        let Self {
            protocol,
            addresses,
            port,
            phase,
        } = self;
        protocol.is_none() && addresses.is_empty() && port.is_none() && phase.is_none()
    }

    fn has(&self, flow: &FlowEntry) -> bool {
        let ends = [flow.from, flow.to];
        let in_prefix = |end: &FlowEnd| self.addresses.iter().any(|one| one.covers(end.address));
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        is(&self.protocol, &flow.protocol)
            && is(&self.phase, &flow.phase)
            && (self.addresses.is_empty() || ends.iter().any(in_prefix))
            && self
                .port
                .is_none_or(|port| ends.iter().any(|end| end.port == Some(port)))
    }
}

/// Why there are no flows to show.
#[derive(Debug, thiserror::Error)]
#[error("the rules in force ask for no states, so no flow is tracked")]
pub(crate) struct NoFlows;

impl crate::error::UserError for NoFlows {
    fn help(&self) -> Option<String> {
        Some("docs/state.md says how rules ask for them".into())
    }
}

/// The flows in the table that is pinned; `None` if there is none.
pub(crate) fn entries(pins: &Pins) -> Result<Option<Vec<FlowEntry>>, FlowsError> {
    let table = FlowTable::open(pins)?;
    let flows = table.map(|table| table.flows()).transpose()?;
    Ok(flows.map(|flows| flows.iter().filter_map(entry).collect()))
}

/// The table of the firewall, without a daemon.
pub(crate) fn table(config: &Config) -> Result<Option<FlowTable>, FlowsError> {
    FlowTable::open(&config.pins)
}

impl FlowListing {
    /// Reads the flows.
    ///
    /// # Errors
    ///
    /// When no rules are in force, or none that ask for states, or the table cannot be read.
    pub fn read(config: &Config) -> Result<Self, Error> {
        Self::matching(config, &FlowFilter::default())
    }

    /// Reads those that a filter means.
    pub(crate) fn matching(config: &Config, filter: &FlowFilter) -> Result<Self, Error> {
        in_force::read(config)?;
        let table = table(config)?.ok_or(NoFlows)?;
        let listed = table.flows()?;
        let flows = listed.iter().filter_map(entry);
        let mut flows: Vec<FlowEntry> = flows.filter(|flow| filter.has(flow)).collect();
        flows.sort();
        let handshakes = listed.iter().filter(|flow| entry(flow).is_none()).count();
        Ok(Self {
            max: table.slots(),
            flows,
            handshakes: u32::try_from(handshakes).unwrap_or(u32::MAX),
            events: FlowEvents::read(&table)?,
        })
    }

    /// Removes the flows that a filter means; returns how many. Their next packets in are new.
    pub(crate) fn remove(config: &Config, filter: &FlowFilter) -> Result<u64, Error> {
        in_force::read(config)?;
        let table = table(config)?.ok_or(NoFlows)?;
        let mut removed = 0;
        for flow in table.flows()? {
            let is_meant = match entry(&flow) {
                Some(listed) => filter.has(&listed),
                None => filter.is_open(),
            };
            removed += u64::from(is_meant && table.remove(&flow));
        }
        Ok(removed)
    }
}

impl FlowEvents {
    pub(crate) fn read(table: &FlowTable) -> Result<Self, FlowsError> {
        Ok(Self {
            added: table.events(FlowEvent::Added)?,
            evicted_unanswered: table.events(FlowEvent::EvictedWeak)?,
            evicted_answered: table.events(FlowEvent::EvictedAnswered)?,
            lost: table.events(FlowEvent::Lost)?,
        })
    }
}

/// A flow as it is shown; `None` if its slot does not have both of its ends.
fn entry(flow: &ListedFlow) -> Option<FlowEntry> {
    let slot = flow.slot;
    if flow.phase == Phase::Noted && !slot.is_ipv6() {
        return None;
    }
    let number = slot.protocol();
    let protocol = Protocol::ALL.into_iter().find(|one| *one as u32 == number);
    let [first, second] = if slot.is_ipv6() {
        let of = |[high, low]: [u64; 2], port: u64| {
            let bits = u128::from(high) << 64 | u128::from(low);
            (IpAddr::from(Ipv6Addr::from(bits)), port as u16)
        };
        let addresses = &flow.addresses;
        [
            of(addresses.first, addresses.ports),
            of(addresses.second, addresses.ports >> 16),
        ]
    } else {
        slot.ends()
            .map(|(address, port)| (IpAddr::from(Ipv4Addr::from(address)), port))
    };
    let (protocol, has_ports) = match protocol {
        Some(Protocol::Tcp) => ("tcp".to_owned(), true),
        Some(Protocol::Udp) => ("udp".to_owned(), true),
        Some(Protocol::Echo) => ("echo".to_owned(), true),
        Some(Protocol::Other) | None => (first.1.to_string(), false),
    };
    let end = |(address, port): (IpAddr, u16)| FlowEnd {
        address,
        port: has_ports.then_some(port),
    };
    let (from, to) = if slot.began_second() {
        (second, first)
    } else {
        (first, second)
    };
    Some(FlowEntry {
        protocol,
        from: end(from),
        to: end(to),
        phase: phase(flow.phase).to_owned(),
        idle_seconds: flow.age,
        seconds_left: flow.timeout.saturating_sub(flow.age),
        listed: Listed {
            index: flow.index,
            first: slot.first,
        },
    })
}

/// The phases as they are shown.
pub(crate) const PHASES: [&str; 6] = [
    "unanswered",
    "incoming",
    "answered",
    "half-closed",
    "closed",
    "reset",
];

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Unanswered => "unanswered",
        Phase::Answered => "answered",
        Phase::FirstClosed | Phase::SecondClosed => "half-closed",
        Phase::Closed => "closed",
        Phase::Doubtful => "reset",
        Phase::Incoming | Phase::Noted => "incoming",
    }
}
