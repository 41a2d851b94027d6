//! The flows, and the states of packets.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::datagram::{Content, Datagram};
use crate::{field::State, model::Timeouts};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// The combinations of flags that TCP segments have, but for PSH and those of congestion.
const SEGMENTS: [u8; 9] = [
    SYN,
    SYN | URG,
    SYN | ACK,
    RST,
    RST | ACK,
    FIN | ACK,
    FIN | ACK | URG,
    ACK,
    ACK | URG,
];

type End = (IpAddr, u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowStage {
    Unanswered,
    Answered,
    HalfClosed(End),
    Closed,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    began: End,
    stage: FlowStage,
    seen: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FlowKind {
    Tcp,
    Udp,
    Echo,
    Other,
}

type FlowKey = (FlowKind, [End; 2]);

/// What becomes of the flow of a packet out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// It was known, and was seen.
    Known,
    /// It begins a flow.
    Begins,
    /// It belongs to no flow, and begins none.
    Nothing,
}

/// The flows.
#[derive(Clone, Debug)]
pub struct FlowMap {
    flows: BTreeMap<FlowKey, Flow>,
    timeouts: Timeouts,
    now: Duration,
}

impl FlowMap {
    /// Without any flow.
    #[must_use]
    pub const fn new(timeouts: Timeouts) -> Self {
        Self {
            flows: BTreeMap::new(),
            timeouts,
            now: Duration::ZERO,
        }
    }

    /// The time since the map was made.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// Lets time go by.
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    /// How many flows have not expired.
    #[must_use]
    pub fn len(&self) -> usize {
        let flows = self.flows.iter();
        flows.filter(|(key, flow)| self.is_alive(key, flow)).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of a packet that comes in.
    pub fn received(&mut self, datagram: &Datagram) -> State {
        if let Content::Error(about) = &datagram.content {
            let is_known = |about: &Datagram| {
                let is_own = about.src == datagram.dst;
                let known = key(about).is_some_and(|(key, _)| self.flow(&key).is_some());
                let is_reply = matches!(about.content, Content::Echo { asks: false, .. });
                is_own && known && !is_reply
            };
            return if about.as_deref().is_some_and(is_known) {
                State::Related
            } else {
                State::Invalid
            };
        }
        let flags = flags(datagram);
        if flags.is_some_and(|flags| !SEGMENTS.contains(&(flags & !(PSH | 0xc0)))) {
            return State::Invalid;
        }
        let Some((key, from)) = key(datagram) else {
            return State::New;
        };
        let Some(flow) = self.flow(&key) else {
            return State::New;
        };
        let is_first = from == flow.began;
        let opens = flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        match flow.stage {
            FlowStage::Unanswered if is_first => return State::New,
            FlowStage::Closed if opens => return State::New,
            FlowStage::Unanswered
            | FlowStage::Answered
            | FlowStage::HalfClosed(_)
            | FlowStage::Closed
            | FlowStage::Reset => {}
        }
        let mut stage = flow.stage;
        if stage == FlowStage::Unanswered {
            stage = FlowStage::Answered;
        }
        if let Some(flags) = flags {
            if flags & RST != 0 {
                stage = match stage {
                    FlowStage::Closed => FlowStage::Closed,
                    FlowStage::Unanswered
                    | FlowStage::Answered
                    | FlowStage::HalfClosed(_)
                    | FlowStage::Reset => FlowStage::Reset,
                };
            } else if flags & FIN != 0 {
                stage = closed(stage, from);
            }
        }
        let lives_on = matches!(flow.stage, FlowStage::Answered | FlowStage::HalfClosed(_));
        if stage != flow.stage || lives_on {
            let seen = self.now;
            self.flows.insert(
                key,
                Flow {
                    stage,
                    seen,
                    ..flow
                },
            );
        }
        State::Established
    }

    /// Notes a packet that goes out; `lets_in` if rules pass what it may answer.
    pub fn sent(&mut self, datagram: &Datagram, lets_in: bool) -> Tracked {
        let Some((key, from)) = key(datagram) else {
            return Tracked::Nothing;
        };
        let seen = self.now;
        let flags = flags(datagram);
        let opens = flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        let asked = Flow {
            began: from,
            stage: FlowStage::Unanswered,
            seen,
        };
        let Some(flow) = self.flow(&key) else {
            let begins = match &datagram.content {
                Content::Tcp { flags, payload, .. } => {
                    let says = *payload || flags & FIN != 0;
                    opens || flags & (SYN | RST) == 0 && says && !lets_in
                }
                Content::Udp { .. } | Content::Protocol(_) => !lets_in,
                Content::Echo { asks, .. } => *asks,
                Content::Error(_) | Content::Message => false,
            };
            if begins {
                self.flows.insert(key, asked);
                return Tracked::Begins;
            }
            return Tracked::Nothing;
        };
        let is_first = from == flow.began;
        if opens && !(is_first && flow.stage == FlowStage::Unanswered) {
            self.flows.insert(key, asked);
            return Tracked::Begins;
        }
        let mut stage = match flow.stage {
            FlowStage::Unanswered if !is_first => FlowStage::Answered,
            FlowStage::Reset => FlowStage::Answered,
            stage @ (FlowStage::Unanswered
            | FlowStage::Answered
            | FlowStage::HalfClosed(_)
            | FlowStage::Closed) => stage,
        };
        if let Some(flags) = flags {
            if flags & RST != 0 {
                stage = FlowStage::Closed;
            } else if flags & FIN != 0 {
                stage = closed(stage, from);
            }
        }
        self.flows.insert(
            key,
            Flow {
                stage,
                seen,
                ..flow
            },
        );
        Tracked::Known
    }

    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        let flow = self.flows.get(key).copied();
        flow.filter(|flow| self.is_alive(key, flow))
    }

    fn is_alive(&self, key: &FlowKey, flow: &Flow) -> bool {
        let timeouts = &self.timeouts;
        let timeout = match (key.0, flow.stage) {
            (FlowKind::Tcp, FlowStage::Unanswered) => timeouts.tcp_opening,
            (FlowKind::Tcp, FlowStage::Answered) => timeouts.tcp,
            (FlowKind::Tcp, FlowStage::HalfClosed(_)) => timeouts.tcp_half_closed,
            (FlowKind::Tcp, FlowStage::Closed) => timeouts.tcp_closed,
            (FlowKind::Tcp, FlowStage::Reset) => timeouts.tcp_reset,
            (FlowKind::Udp, FlowStage::Unanswered) => timeouts.udp,
            (FlowKind::Udp, _) => timeouts.udp_answered,
            (FlowKind::Echo, _) => timeouts.icmp_echo,
            (FlowKind::Other, _) => timeouts.other,
        };
        self.now.saturating_sub(flow.seen) <= timeout
    }
}

/// What a FIN from an end makes of a stage.
fn closed(stage: FlowStage, from: End) -> FlowStage {
    match stage {
        FlowStage::Answered => FlowStage::HalfClosed(from),
        FlowStage::HalfClosed(other) if other != from => FlowStage::Closed,
        FlowStage::Unanswered | FlowStage::HalfClosed(_) | FlowStage::Closed | FlowStage::Reset => {
            stage
        }
    }
}

fn flags(datagram: &Datagram) -> Option<u8> {
    match datagram.content {
        Content::Tcp { flags, .. } => Some(flags),
        Content::Udp { .. }
        | Content::Echo { .. }
        | Content::Protocol(_)
        | Content::Error(_)
        | Content::Message => None,
    }
}

/// What the flow of a packet is known by, and the end that has sent the packet.
fn key(datagram: &Datagram) -> Option<(FlowKey, End)> {
    let (kind, sport, dport) = match datagram.content {
        Content::Tcp { sport, dport, .. } => (FlowKind::Tcp, sport, dport),
        Content::Udp { sport, dport } => (FlowKind::Udp, sport, dport),
        Content::Echo { id, .. } => (FlowKind::Echo, id, id),
        Content::Protocol(number) => (FlowKind::Other, number.into(), number.into()),
        Content::Error(_) | Content::Message => return None,
    };
    let from = (datagram.src, sport);
    let mut ends = [from, (datagram.dst, dport)];
    ends.sort_unstable();
    Some(((kind, ends), from))
}
