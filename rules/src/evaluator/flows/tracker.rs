//! A sequence of frames at the hooks of one machine.

use std::time::Duration;

use super::{
    datagram::Datagram,
    map::{FlowMap, KnownFlow},
    reverse::{lets_in, lets_in_invoking},
};
use crate::{
    context::Context,
    field::State,
    model::{Direction, FlowNeeds, Ruleset},
};

/// The flows that a sequence of frames makes under a rule set.
///
/// Each frame is [seen](Self::see) before its verdict is found, and [tracked](Self::passed) after it has passed.
#[derive(Clone, Debug)]
pub struct Tracker<'r> {
    ruleset: &'r Ruleset,
    /// `None` where no rule asks for states.
    map: Option<FlowMap>,
}

/// What a packet is to the flows that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its state.
    pub state: State,
    /// The flow that it is of, or, of an ICMP error, about, as it was before; also one that has expired.
    pub flow: Option<KnownFlow>,
}

impl<'r> Tracker<'r> {
    /// Begins a sequence; no flow is known.
    #[must_use]
    pub fn new(ruleset: &'r Ruleset) -> Self {
        let timeouts = ruleset.settings.flows.timeouts;
        let needs = ruleset.flow_needs();
        Self {
            ruleset,
            map: (needs != FlowNeeds::Nothing).then(|| FlowMap::new(timeouts, needs)),
        }
    }

    /// Lets time go by.
    pub fn wait(&mut self, time: Duration) {
        if let Some(map) = &mut self.map {
            map.wait(time);
        }
    }

    /// Whether no flow is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.as_ref().is_none_or(FlowMap::is_empty)
    }

    /// What a frame is to the flows that are known, which it changes if it comes in. `None` if it has no state: no rule
    /// asks for one in its direction, or it is not IP, or cannot be decoded.
    pub fn see(&mut self, frame: &[u8], context: &Context<Option<&str>>) -> Option<Sighting> {
        let map = self.map.as_mut()?;
        let datagram = Datagram::of_frame(frame)?;
        let flow = map.find(&datagram);
        match context.direction {
            Direction::In => {
                let lets_in = |_: &Datagram| lets_in_invoking(self.ruleset, frame, context);
                let state = map.received(&datagram, lets_in);
                Some(Sighting { state, flow })
            }
            Direction::Out => {
                let has_states = self.ruleset.flow_needs() == FlowNeeds::OutgoingStates;
                has_states.then(|| Sighting {
                    state: map.leaving(&datagram),
                    flow,
                })
            }
        }
    }

    /// Notes that a frame has passed, in the state of its context: one that goes out makes or changes a flow, and so may one
    /// that came in as [`State::New`].
    pub fn passed(&mut self, frame: &[u8], context: &Context<Option<&str>>) {
        let Some(map) = &mut self.map else { return };
        let Some(datagram) = Datagram::of_frame(frame) else {
            return;
        };
        match context.direction {
            Direction::In if context.state == State::New => map.admitted(&datagram),
            Direction::In => {}
            Direction::Out => {
                map.sent(&datagram, lets_in(self.ruleset, frame, context));
            }
        }
    }
}
