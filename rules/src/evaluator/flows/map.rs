//! The flows, and the states of packets.

use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use super::datagram::{Content, Datagram};
use crate::{
    field::State,
    model::{FlowNeeds, Timeouts},
};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

/// Whether a TCP segment can have these flags. PSH, ECE and CWR say nothing (`tcp_valid_flags`,
/// `net/netfilter/nf_conntrack_proto_tcp.c` of Linux).
pub(crate) const fn is_segment(flags: u8) -> bool {
    const SYN_URG: u8 = SYN | URG;
    const SYN_ACK: u8 = SYN | ACK;
    const RST_ACK: u8 = RST | ACK;
    const FIN_ACK: u8 = FIN | ACK;
    const FIN_ACK_URG: u8 = FIN | ACK | URG;
    const ACK_URG: u8 = ACK | URG;
    matches!(
        flags & !(PSH | ECE | CWR),
        SYN | SYN_URG | SYN_ACK | RST | RST_ACK | FIN_ACK | FIN_ACK_URG | ACK | ACK_URG
    )
}

/// An end of a flow: its address, and its port, the identifier of an echo, or 0.
pub type FlowEnd = (IpAddr, u16);

/// What a flow has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowPhase {
    /// Not answered yet.
    Unanswered,
    /// Answered.
    Answered,
    /// TCP: this end has sent its last byte.
    HalfClosed(FlowEnd),
    /// TCP: both have, or a reset has gone out.
    Closed,
    /// TCP: a reset has come in.
    Reset,
    /// Begun by a packet in, and not proved to be answered; of TCP with the sequence number of the answer, once it is sent.
    Incoming(Option<u32>),
}

impl FlowPhase {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
            Self::HalfClosed(_) => "half-closed",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Incoming(_) => "incoming",
        }
    }
}

/// The protocols by which flows are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Echo of ICMP or ICMPv6.
    Echo,
    /// Another protocol, by its number; its flows have no ports.
    Other(u8),
}

impl fmt::Display for FlowProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Echo => f.write_str("echo"),
            Self::Other(number) => number.fmt(f),
        }
    }
}

/// A flow that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFlow {
    /// Its protocol.
    pub protocol: FlowProtocol,
    /// The end that began it.
    pub from: FlowEnd,
    /// The other end.
    pub to: FlowEnd,
    /// What it has come to.
    pub phase: FlowPhase,
    /// The time since its last packet.
    pub idle: Duration,
    /// The time after which it is forgotten; `None` if it has expired.
    pub left: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    began: FlowEnd,
    phase: FlowPhase,
    seen: Duration,
}

type FlowKey = (FlowProtocol, [FlowEnd; 2]);

/// Source, destination, identification and protocol.
type FragmentKey = (IpAddr, IpAddr, u32, u8);

/// How long later fragments are waited for.
const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(32);

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
    /// When the first fragments of packets of known flows came in.
    fragments: BTreeMap<FragmentKey, Duration>,
    timeouts: Timeouts,
    needs: FlowNeeds,
    now: Duration,
}

impl FlowMap {
    /// Without any flow.
    #[must_use]
    pub const fn new(timeouts: Timeouts, needs: FlowNeeds) -> Self {
        Self {
            flows: BTreeMap::new(),
            fragments: BTreeMap::new(),
            timeouts,
            needs,
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

    /// The flow that a packet is of, or, of an ICMP error, about; also one that has expired.
    #[must_use]
    pub fn find(&self, datagram: &Datagram) -> Option<KnownFlow> {
        let of = match &datagram.content {
            Content::Error(about) => about.as_deref()?,
            Content::Tcp { .. }
            | Content::Udp { .. }
            | Content::Echo { .. }
            | Content::Protocol(_)
            | Content::Message => datagram,
        };
        let (key, _) = key(of)?;
        let flow = self.flows.get(&key)?;
        let is_alive = self.is_alive(&key, flow);
        let (protocol, [first, second]) = key;
        let idle = self.now.saturating_sub(flow.seen);
        Some(KnownFlow {
            protocol,
            from: flow.began,
            to: if flow.began == first { second } else { first },
            phase: flow.phase,
            idle,
            left: is_alive.then(|| self.timeout(protocol, flow.phase).saturating_sub(idle)),
        })
    }

    /// Adds a flow that is known from elsewhere.
    pub fn insert(&mut self, known: &KnownFlow) {
        let mut ends = [known.from, known.to];
        ends.sort_unstable();
        let flow = Flow {
            began: known.from,
            phase: known.phase,
            seen: self.now.saturating_sub(known.idle),
        };
        self.flows.insert((known.protocol, ends), flow);
    }

    /// The state of a packet that comes in; `lets_in` says whether rules pass what a packet out may answer.
    pub fn received(
        &mut self,
        datagram: &Datagram,
        lets_in: impl FnOnce(&Datagram) -> bool,
    ) -> State {
        if let Content::Error(about) = &datagram.content {
            let is_known = |about: &Datagram| {
                let is_own = about.src == datagram.dst;
                let known = key(about).is_some_and(|(key, _)| self.flow(&key).is_some());
                match about.content {
                    Content::Echo { asks, .. } => is_own && known && asks,
                    Content::Error(_) | Content::Message => false,
                    Content::Tcp { .. } | Content::Udp { .. } | Content::Protocol(_) => {
                        is_own && (known || lets_in(about))
                    }
                }
            };
            return if about.as_deref().is_some_and(is_known) {
                State::Related
            } else {
                State::Invalid
            };
        }
        let state = self.received_of_flow(datagram);
        self.of_fragment(datagram, state)
    }

    /// The state of a packet that may be a fragment, from that of its flow.
    fn of_fragment(&mut self, datagram: &Datagram, state: State) -> State {
        let Some(fragment) = datagram.fragment else {
            return state;
        };
        let key = (datagram.src, datagram.dst, fragment.id, fragment.protocol);
        if !fragment.is_later {
            if state == State::Established {
                self.fragments.insert(key, self.now);
            }
            return state;
        }
        let first = self.fragments.get(&key);
        let waits = first.is_some_and(|first| self.now.saturating_sub(*first) <= FRAGMENT_TIMEOUT);
        if state == State::New && waits {
            State::Related
        } else {
            state
        }
    }

    fn received_of_flow(&mut self, datagram: &Datagram) -> State {
        let flags = flags(datagram);
        if flags.is_some_and(|flags| !is_segment(flags)) {
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
        let mut phase = match flow.phase {
            FlowPhase::Unanswered if is_first => return State::New,
            FlowPhase::Closed if opens => return State::New,
            FlowPhase::Incoming(answer) if is_first && acknowledges(datagram, answer) => {
                FlowPhase::Answered
            }
            FlowPhase::Incoming(_) => return State::New,
            FlowPhase::Unanswered => FlowPhase::Answered,
            FlowPhase::Answered
            | FlowPhase::HalfClosed(_)
            | FlowPhase::Closed
            | FlowPhase::Reset => flow.phase,
        };
        if let Some(flags) = flags {
            if flags & RST != 0 {
                phase = match phase {
                    FlowPhase::Closed => FlowPhase::Closed,
                    FlowPhase::Unanswered
                    | FlowPhase::Answered
                    | FlowPhase::HalfClosed(_)
                    | FlowPhase::Reset
                    | FlowPhase::Incoming(_) => FlowPhase::Reset,
                };
            } else if flags & FIN != 0 {
                phase = closed(phase, from);
            }
        }
        let lives_on = matches!(flow.phase, FlowPhase::Answered | FlowPhase::HalfClosed(_));
        if phase != flow.phase || lives_on {
            self.see(key, flow, phase);
        }
        State::Established
    }

    /// Notes a packet in that has passed as `new`.
    pub fn admitted(&mut self, datagram: &Datagram) {
        let Some((key, from)) = key(datagram).filter(|_| self.needs >= FlowNeeds::Incoming) else {
            return;
        };
        let opens = match datagram.content {
            Content::Tcp { flags, .. } => match flags & (SYN | ACK | RST) {
                SYN => true,
                ACK => false,
                _ => return,
            },
            Content::Echo { asks: false, .. } => return,
            Content::Udp { .. }
            | Content::Echo { .. }
            | Content::Protocol(_)
            | Content::Error(_)
            | Content::Message => false,
        };
        let incoming = Flow {
            began: from,
            phase: FlowPhase::Incoming(None),
            seen: self.now,
        };
        match self.flow(&key) {
            Some(flow) if flow.phase == FlowPhase::Incoming(None) => {
                self.see(key, flow, flow.phase);
            }
            Some(flow) if !(flow.phase == FlowPhase::Closed && opens) => {}
            Some(_) | None => {
                self.flows.insert(key, incoming);
            }
        }
    }

    /// The state of a packet that goes out.
    pub fn leaving(&mut self, datagram: &Datagram) -> State {
        if let Content::Error(about) = &datagram.content {
            let is_known = |about: &Datagram| {
                let is_own = about.src == datagram.dst;
                let known = key(about).is_some_and(|(key, _)| self.flow(&key).is_some());
                is_own
                    && known
                    && match about.content {
                        Content::Echo { asks, .. } => asks,
                        Content::Error(_) | Content::Message => false,
                        Content::Tcp { .. } | Content::Udp { .. } | Content::Protocol(_) => true,
                    }
            };
            return if about.as_deref().is_some_and(is_known) {
                State::Related
            } else {
                State::Invalid
            };
        }
        let state = self.leaving_of_flow(datagram);
        self.of_fragment(datagram, state)
    }

    fn leaving_of_flow(&self, datagram: &Datagram) -> State {
        let flags = flags(datagram);
        if flags.is_some_and(|flags| !is_segment(flags)) {
            return State::Invalid;
        }
        let known = key(datagram).and_then(|(key, from)| Some((self.flow(&key)?, from)));
        let Some((flow, from)) = known else {
            return State::New;
        };
        let opens = flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        let waits = matches!(flow.phase, FlowPhase::Unanswered | FlowPhase::Incoming(_));
        if opens || waits && from == flow.began {
            State::New
        } else {
            State::Established
        }
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
            phase: FlowPhase::Unanswered,
            seen,
        };
        let known = self.flow(&key);
        // What a packet in began is not known to go on if another packet goes out that way.
        let goes_on = |flow: &Flow| {
            let is_incoming = matches!(flow.phase, FlowPhase::Incoming(_));
            !is_incoming || !opens && from != flow.began
        };
        let Some(flow) = known.filter(goes_on) else {
            let says = says_something(datagram);
            let begins = match &datagram.content {
                Content::Tcp { flags, .. } => opens || flags & (SYN | RST) == 0 && says && !lets_in,
                Content::Udp { .. } | Content::Protocol(_) => !lets_in,
                Content::Echo { asks, .. } => *asks,
                Content::Error(_) | Content::Message => false,
            };
            if begins {
                self.flows.insert(key, asked);
                return Tracked::Begins;
            }
            // Only an established connection sends something.
            if self.needs >= FlowNeeds::Incoming && says && !opens && known.is_none() {
                self.establish(key, from, datagram);
                return Tracked::Known;
            }
            return Tracked::Nothing;
        };
        if opens && !(from == flow.began && flow.phase == FlowPhase::Unanswered) {
            self.flows.insert(key, asked);
            return Tracked::Begins;
        }
        if let FlowPhase::Incoming(_) = flow.phase
            && let Content::Tcp { flags, numbers, .. } = datagram.content
            && flags & RST == 0
        {
            if flags & (SYN | ACK) == SYN | ACK {
                let [sequence, _] = numbers.unwrap_or_default();
                self.see(key, flow, FlowPhase::Incoming(Some(sequence)));
            } else if says_something(datagram) {
                self.establish(key, from, datagram);
            }
            return Tracked::Known;
        }
        let mut phase = match flow.phase {
            FlowPhase::Unanswered if from != flow.began => FlowPhase::Answered,
            FlowPhase::Reset | FlowPhase::Incoming(_) => FlowPhase::Answered,
            phase @ (FlowPhase::Unanswered
            | FlowPhase::Answered
            | FlowPhase::HalfClosed(_)
            | FlowPhase::Closed) => phase,
        };
        if let Some(flags) = flags {
            if flags & RST != 0 {
                phase = FlowPhase::Closed;
            } else if flags & FIN != 0 {
                phase = closed(phase, from);
            }
        }
        self.see(key, flow, phase);
        Tracked::Known
    }

    /// Notes the connection that a segment out shows to be established, which the other end began.
    fn establish(&mut self, key: FlowKey, from: FlowEnd, datagram: &Datagram) {
        let (_, [first, second]) = key;
        let closes = flags(datagram).is_some_and(|flags| flags & FIN != 0);
        let flow = Flow {
            began: if from == first { second } else { first },
            phase: if closes {
                FlowPhase::HalfClosed(from)
            } else {
                FlowPhase::Answered
            },
            seen: self.now,
        };
        self.flows.insert(key, flow);
    }

    /// Stores what a packet makes of a flow.
    fn see(&mut self, key: FlowKey, flow: Flow, phase: FlowPhase) {
        let seen = self.now;
        let changed = Flow {
            phase,
            seen,
            ..flow
        };
        self.flows.insert(key, changed);
    }

    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        let flow = self.flows.get(key).copied();
        flow.filter(|flow| self.is_alive(key, flow))
    }

    fn is_alive(&self, (protocol, _): &FlowKey, flow: &Flow) -> bool {
        let idle = self.now.saturating_sub(flow.seen);
        idle <= self.timeout(*protocol, flow.phase)
    }

    const fn timeout(&self, protocol: FlowProtocol, phase: FlowPhase) -> Duration {
        let timeouts = &self.timeouts;
        match (protocol, phase) {
            (FlowProtocol::Tcp, FlowPhase::Unanswered) => timeouts.tcp_opening,
            (FlowProtocol::Tcp, FlowPhase::Answered) => timeouts.tcp,
            (FlowProtocol::Tcp, FlowPhase::HalfClosed(_)) => timeouts.tcp_half_closed,
            (FlowProtocol::Tcp, FlowPhase::Closed) => timeouts.tcp_closed,
            (FlowProtocol::Tcp, FlowPhase::Reset) => timeouts.tcp_reset,
            (FlowProtocol::Tcp, FlowPhase::Incoming(_)) => timeouts.tcp_incoming,
            (FlowProtocol::Udp, FlowPhase::Unanswered | FlowPhase::Incoming(_)) => timeouts.udp,
            (FlowProtocol::Udp, _) => timeouts.udp_answered,
            (FlowProtocol::Echo, _) => timeouts.icmp_echo,
            (FlowProtocol::Other(_), _) => timeouts.other,
        }
    }
}

/// What a FIN from an end makes of a phase.
fn closed(phase: FlowPhase, from: FlowEnd) -> FlowPhase {
    match phase {
        FlowPhase::Answered => FlowPhase::HalfClosed(from),
        FlowPhase::HalfClosed(other) if other != from => FlowPhase::Closed,
        FlowPhase::Unanswered
        | FlowPhase::HalfClosed(_)
        | FlowPhase::Closed
        | FlowPhase::Reset
        | FlowPhase::Incoming(_) => phase,
    }
}

/// Whether a packet is a TCP segment that acknowledges the SYN,ACK with this sequence number.
fn acknowledges(datagram: &Datagram, answer: Option<u32>) -> bool {
    let Content::Tcp { flags, numbers, .. } = datagram.content else {
        return false;
    };
    let expected = answer.map(|answer| answer.wrapping_add(1));
    let number = numbers.map(|[_, acknowledgment]| acknowledgment);
    flags & (SYN | ACK | RST) == ACK && number.is_some() && number == expected
}

/// Whether a packet is a TCP segment with payload or FIN, and none of the handshake or a reset.
fn says_something(datagram: &Datagram) -> bool {
    let Content::Tcp { flags, payload, .. } = datagram.content else {
        return false;
    };
    flags & (SYN | RST) == 0 && (payload || flags & FIN != 0)
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
fn key(datagram: &Datagram) -> Option<(FlowKey, FlowEnd)> {
    let (kind, sport, dport) = match datagram.content {
        Content::Tcp { sport, dport, .. } => (FlowProtocol::Tcp, sport, dport),
        Content::Udp { sport, dport } => (FlowProtocol::Udp, sport, dport),
        Content::Echo { id, .. } => (FlowProtocol::Echo, id, id),
        Content::Protocol(number) => (FlowProtocol::Other(number), 0, 0),
        Content::Error(_) | Content::Message => return None,
    };
    let from = (datagram.src, sport);
    let mut ends = [from, (datagram.dst, dport)];
    ends.sort_unstable();
    Some(((kind, ends), from))
}
