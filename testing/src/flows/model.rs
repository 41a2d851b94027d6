//! The table of flows as a plain map with a plain clock.

use std::{collections::BTreeMap, net::IpAddr};

use firewall_ebpf::state::State;

use super::datagram::{Content, Datagram};

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

/// How long flows are kept, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// TCP: not answered, answered, closed by one end, closed by both, reset.
    pub tcp: [u64; 5],
    /// UDP: not answered, answered.
    pub udp: [u64; 2],
    /// Echo.
    pub echo: u64,
    /// Other protocols.
    pub other: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asked,
    Open,
    Half(End),
    Over,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    began: End,
    stage: Stage,
    seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tcp,
    Udp,
    Echo,
    Other,
}

type Key = (Kind, [End; 2]);

/// What a packet out makes of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing but that its flow was seen.
    Known,
    /// It begins a flow.
    Begins,
    /// It belongs to no flow, and begins none.
    Nothing,
}

/// The flows.
#[derive(Clone, Debug)]
pub struct Model {
    flows: BTreeMap<Key, Flow>,
    periods: Periods,
    /// The time in seconds.
    pub now: u64,
}

impl Model {
    /// Without any flow.
    #[must_use]
    pub fn new(periods: Periods) -> Self {
        Self {
            flows: BTreeMap::new(),
            periods,
            now: 0,
        }
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
            let is_own = about.src == datagram.dst;
            let known = key(about).is_some_and(|(key, _)| self.flow(&key).is_some());
            let answers = !matches!(about.content, Content::Echo { asks: false, .. });
            return if is_own && known && answers {
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
            Stage::Asked if is_first => return State::New,
            Stage::Over if opens => return State::New,
            Stage::Asked | Stage::Open | Stage::Half(_) | Stage::Over | Stage::Reset => {}
        }
        let mut stage = flow.stage;
        if stage == Stage::Asked {
            stage = Stage::Open;
        }
        if let Some(flags) = flags {
            if flags & RST != 0 {
                stage = match stage {
                    Stage::Over => Stage::Over,
                    Stage::Asked | Stage::Open | Stage::Half(_) | Stage::Reset => Stage::Reset,
                };
            } else if flags & FIN != 0 {
                stage = closed(stage, from);
            }
        }
        let lives_on = matches!(flow.stage, Stage::Open | Stage::Half(_));
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
    pub fn sent(&mut self, datagram: &Datagram, lets_in: bool) -> Verdict {
        let Some((key, from)) = key(datagram) else {
            return Verdict::Nothing;
        };
        let seen = self.now;
        let flags = flags(datagram);
        let opens = flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        let asked = Flow {
            began: from,
            stage: Stage::Asked,
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
                return Verdict::Begins;
            }
            return Verdict::Nothing;
        };
        let is_first = from == flow.began;
        if opens && !(is_first && flow.stage == Stage::Asked) {
            self.flows.insert(key, asked);
            return Verdict::Begins;
        }
        let mut stage = match flow.stage {
            Stage::Asked if !is_first => Stage::Open,
            Stage::Reset => Stage::Open,
            stage @ (Stage::Asked | Stage::Open | Stage::Half(_) | Stage::Over) => stage,
        };
        if let Some(flags) = flags {
            if flags & RST != 0 {
                stage = Stage::Over;
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
        Verdict::Known
    }

    fn flow(&self, key: &Key) -> Option<Flow> {
        let flow = self.flows.get(key).copied();
        flow.filter(|flow| self.is_alive(key, flow))
    }

    fn is_alive(&self, key: &Key, flow: &Flow) -> bool {
        let periods = &self.periods;
        let is_asked = flow.stage == Stage::Asked;
        let period = match (key.0, flow.stage) {
            (Kind::Tcp, Stage::Asked) => periods.tcp[0],
            (Kind::Tcp, Stage::Open) => periods.tcp[1],
            (Kind::Tcp, Stage::Half(_)) => periods.tcp[2],
            (Kind::Tcp, Stage::Over) => periods.tcp[3],
            (Kind::Tcp, Stage::Reset) => periods.tcp[4],
            (Kind::Udp, _) => periods.udp[usize::from(!is_asked)],
            (Kind::Echo, _) => periods.echo,
            (Kind::Other, _) => periods.other,
        };
        self.now - flow.seen <= period
    }
}

/// What a FIN from an end makes of a stage.
fn closed(stage: Stage, from: End) -> Stage {
    match stage {
        Stage::Open => Stage::Half(from),
        Stage::Half(other) if other != from => Stage::Over,
        Stage::Asked | Stage::Half(_) | Stage::Over | Stage::Reset => stage,
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
fn key(datagram: &Datagram) -> Option<(Key, End)> {
    let (kind, sport, dport) = match datagram.content {
        Content::Tcp { sport, dport, .. } => (Kind::Tcp, sport, dport),
        Content::Udp { sport, dport } => (Kind::Udp, sport, dport),
        Content::Echo { id, .. } => (Kind::Echo, id, id),
        Content::Protocol(number) => (Kind::Other, number.into(), number.into()),
        Content::Error(_) | Content::Message => return None,
    };
    let from = (datagram.src, sport);
    let mut ends = [from, (datagram.dst, dport)];
    ends.sort_unstable();
    Some(((kind, ends), from))
}
