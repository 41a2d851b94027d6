//! What rules need to know of flows.

use super::{
    ruleset::{Matches, Rule, Ruleset},
    verdict::RuleAction,
};
use crate::field::State;
use firewall_ebpf::abi::Direction;

/// What rules need to know of flows; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowNeeds {
    /// Nothing: no rule asks for the state of a packet.
    Nothing,
    /// What packets out begin: the rules tell replies from other packets in.
    Replies,
    /// Also what packets in begin: the first packet of such a flow and those that follow are not the same to the rules.
    Incoming,
    /// Also the states of packets out.
    OutgoingStates,
}

impl Ruleset {
    /// What the rules need to know of flows.
    ///
    /// While flows that packets in begin are not known, all their packets are `new`. This makes a difference where a rule that
    /// tells `new` from `established` logs, or counts some packets (one that counts all packets of a state shows what the rules
    /// see), and where it passes or drops beside a rule that asks for what is not the same in all packets of a flow.
    #[must_use]
    pub fn flow_needs(&self) -> FlowNeeds {
        let of = |direction: Direction| {
            let rules = self.rules.iter();
            rules.filter(move |rule| rule.direction == direction)
        };
        let mut out = of(Direction::Out);
        if out.any(|rule| rule.matches.state.is_some()) {
            return FlowNeeds::OutgoingStates;
        }
        if of(Direction::In).all(|rule| rule.matches.state.is_none()) {
            return FlowNeeds::Nothing;
        }
        let telling = || of(Direction::In).filter(|rule| tells_new(&rule.matches));
        let counts = |rule: &Rule| {
            rule.log.is_some()
                || rule.action == RuleAction::Count && asks_for_more_than_state(&rule.matches)
        };
        let decides = |rule: &&Rule| rule.action != RuleAction::Count;
        let varies = || {
            let mut deciding = of(Direction::In).filter(decides);
            deciding.any(|rule| varies_in_flow(&rule.matches))
        };
        if telling().any(counts) || telling().next().is_some() && varies() {
            FlowNeeds::Incoming
        } else {
            FlowNeeds::Replies
        }
    }
}

/// Whether conditions hold for `new` and not for `established`, or the other way round.
fn tells_new(matches: &Matches) -> bool {
    let states = matches.state;
    states.is_some_and(|states| states.has(State::New) != states.has(State::Established))
}

/// Whether there are other conditions than that on the state.
fn asks_for_more_than_state(matches: &Matches) -> bool {
    let state_only = Matches {
        state: matches.state,
        ..Matches::default()
    };
    *matches != state_only
}

/// Whether conditions can hold for one packet of a flow and not for another.
const fn varies_in_flow(matches: &Matches) -> bool {
    matches.tcp_flags.is_some()
        || matches.length.is_some()
        || matches.ttl.is_some()
        || matches.dscp.is_some()
        || matches.ip_option.is_some()
}
