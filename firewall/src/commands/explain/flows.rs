//! What a packet is to the flows that are known, and why.

use std::time::Duration;

use rules::{
    evaluator::{
        decode,
        flows::{
            Content, Datagram, FlowEnd, FlowMap, FlowPhase, FlowProtocol, KnownFlow, Sighting,
        },
    },
    field::State,
    model::{Direction, FlowNeeds, Timeouts},
};
use serde::Serialize;

use crate::{
    kernel::{flows::FlowsError, pins::Pins},
    observe::flows::{self, FlowEntry},
};

/// The state of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct StateShown {
    state: &'static str,
    /// Why it has this state.
    because: &'static str,
    /// The flow that it is of, or, of an ICMP error, about, as it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<FlowShown>,
}

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct FlowShown {
    protocol: String,
    from: String,
    to: String,
    phase: &'static str,
    idle_seconds: u64,
    /// Nothing if it has expired.
    seconds_left: Option<u64>,
}

impl StateShown {
    /// A state that was said.
    pub(super) const fn given(state: State) -> Self {
        Self {
            state: state.as_str(),
            because: "`--state` says so",
            flow: None,
        }
    }

    /// The state of a frame that was seen.
    pub(super) fn seen(frame: &[u8], seen: &Sighting) -> Self {
        Self {
            state: seen.state.as_str(),
            because: because(frame, seen),
            flow: seen.flow.map(|flow| FlowShown {
                protocol: flow.protocol.to_string(),
                from: end(flow.protocol, flow.from),
                to: end(flow.protocol, flow.to),
                phase: flow.phase.as_str(),
                idle_seconds: flow.idle.as_secs(),
                seconds_left: flow.left.map(|left| left.as_secs()),
            }),
        }
    }

    /// In one line.
    pub(super) fn to_text(&self) -> String {
        let time = |seconds| humantime::format_duration(Duration::from_secs(seconds));
        let flow = self.flow.as_ref().map_or_else(String::new, |flow| {
            let FlowShown {
                protocol,
                from,
                to,
                phase,
                idle_seconds,
                seconds_left,
            } = flow;
            let left =
                seconds_left.map_or_else(String::new, |left| format!(", kept for {}", time(left)));
            let idle = time(*idle_seconds);
            format!(" `{protocol} {from} > {to}`, which was {phase}, idle for {idle}{left}")
        });
        format!("{}: {}{flow}", self.state, self.because)
    }
}

/// Why a frame has the state; ends with the flow, if there is one.
fn because(frame: &[u8], seen: &Sighting) -> &'static str {
    let content = Datagram::of_frame(frame).map(|datagram| datagram.content);
    let is_error = matches!(content, Some(Content::Error(_)));
    let alive = seen.flow.filter(|flow| flow.left.is_some());
    let goes_on = alive.is_some_and(|flow| goes_on(frame, &flow));
    match (seen.state, alive.map(|flow| flow.phase)) {
        (State::New, None) if seen.flow.is_some() => "it is of no known flow: too late for",
        (State::Invalid, None) if is_error && seen.flow.is_some() => {
            "it is an error about no known flow: too late for"
        }
        (State::Established, Some(FlowPhase::Incoming(Some(_)))) if goes_on => {
            "it acknowledges the answer in the flow"
        }
        (State::Established, Some(FlowPhase::Unanswered | FlowPhase::Incoming(_))) => {
            "it is the first answer in the flow"
        }
        (State::Established, _) => "it is of the flow",
        (State::Related, _) => "it is an error about the flow",
        (State::New, Some(FlowPhase::Unanswered | FlowPhase::Incoming(_))) if goes_on => {
            "it goes the way in which the flow began, which is not answered: it is of the flow"
        }
        (State::New, Some(_)) => "it opens a connection after the flow",
        (State::New, None) if matches!(content, Some(Content::Message)) => {
            if decode(frame).is_ok_and(|fields| fields.icmp.is_some()) {
                "an ICMP message of this type is of no flow"
            } else {
                "a later fragment has no ports, and is of no flow"
            }
        }
        (State::New, None) => {
            "it is of no known flow; packets out make flows, unless they may answer what rules let in"
        }
        (State::Invalid, None) if is_error => "it is an error about no known flow",
        (State::Invalid, Some(_)) if is_error => {
            "it is an error for another host than the one that has sent a packet of the flow"
        }
        (State::Invalid, None) => "no TCP segment has these flags",
        (State::Invalid, Some(_)) => "no TCP segment has these flags, not even one of the flow",
    }
}

/// Whether a frame is from the end that began a flow.
fn goes_on(frame: &[u8], flow: &KnownFlow) -> bool {
    let fields = decode(frame).unwrap_or_default();
    let port = match flow.protocol {
        FlowProtocol::Tcp | FlowProtocol::Udp => fields.sport,
        FlowProtocol::Echo | FlowProtocol::Other(_) => None,
    };
    let (address, of_flow) = flow.from;
    fields.src == Some(address) && port.is_none_or(|port| port == of_flow)
}

fn end(protocol: FlowProtocol, (address, port): FlowEnd) -> String {
    match protocol {
        FlowProtocol::Other(_) => address.to_string(),
        FlowProtocol::Tcp | FlowProtocol::Udp | FlowProtocol::Echo => {
            std::net::SocketAddr::new(address, port).to_string()
        }
    }
}

/// What a frame of a direction is to the flows that are pinned; `None` if it has no state. `lets_in` says whether rules
/// let in what the packet may answer that an ICMP error is about.
pub(super) fn look_up(
    frame: &[u8],
    direction: Direction,
    pins: &Pins,
    lets_in: impl FnOnce() -> bool,
) -> Result<Option<Sighting>, FlowsError> {
    let Some(datagram) = Datagram::of_frame(frame) else {
        return Ok(None);
    };
    // All that are listed are alive.
    let mut map = FlowMap::new(Timeouts::default(), FlowNeeds::OutgoingStates);
    let flows: Vec<KnownFlow> = flows::entries(pins)?
        .unwrap_or_default()
        .iter()
        .filter_map(known)
        .collect();
    for flow in &flows {
        map.insert(&KnownFlow {
            idle: Duration::ZERO,
            ..*flow
        });
    }
    let found = map.find(&datagram);
    let is_found = |flow: &&KnownFlow| {
        found.is_some_and(|found| {
            (flow.protocol, flow.from, flow.to) == (found.protocol, found.from, found.to)
        })
    };
    Ok(Some(Sighting {
        flow: flows.iter().find(is_found).copied(),
        state: match direction {
            Direction::In => map.received(&datagram, |_| lets_in()),
            Direction::Out => map.leaving(&datagram),
        },
    }))
}

/// A flow that is listed; `None` if it is of no protocol that there is.
fn known(listed: &FlowEntry) -> Option<KnownFlow> {
    let protocol = match listed.protocol.as_str() {
        "tcp" => FlowProtocol::Tcp,
        "udp" => FlowProtocol::Udp,
        "echo" => FlowProtocol::Echo,
        number => FlowProtocol::Other(number.parse().ok()?),
    };
    let end = |end: flows::FlowEnd| (end.address, end.port.unwrap_or(0));
    let from = end(listed.from);
    Some(KnownFlow {
        protocol,
        from,
        to: end(listed.to),
        phase: match listed.phase.as_str() {
            "unanswered" => FlowPhase::Unanswered,
            "incoming" => FlowPhase::Incoming(None),
            "answered" => FlowPhase::Answered,
            // No state depends on which end has closed.
            "half-closed" => FlowPhase::HalfClosed(from),
            "closed" => FlowPhase::Closed,
            _ => FlowPhase::Reset,
        },
        idle: Duration::from_secs(listed.idle_seconds.into()),
        left: Some(Duration::from_secs(listed.seconds_left.into())),
    })
}
