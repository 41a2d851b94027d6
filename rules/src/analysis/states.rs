//! The states that packets can have, by what follows their IP header.
//!
//! What flows are known is not for this module: it says which states a packet can have whatever they
//! are. The states of a packet depend on nothing else, so a kind of packets times a set of states is
//! a set of packets that can exist.

use std::collections::BTreeMap;

use firewall_ebpf::parse::protocol;

use super::values::Values;
use crate::{
    evaluator::flows::is_segment,
    field::{Family, State, StateSet},
};

const NONE: StateSet = StateSet::ALL.complement();

const OPEN: StateSet = NONE.with(State::New);

/// The states of packets that can be of a flow: of every protocol but ICMP, of TCP with flags that a
/// segment can have.
pub(super) const OF_FLOWS: StateSet = OPEN.with(State::Established);

/// The states of ICMP errors: `related` if the packet that they are about is of a known flow.
const OF_ERRORS: StateSet = NONE.with(State::Related).with(State::Invalid);

/// The states of TCP segments with these flags: those that connection tracking refuses, and no
/// others, are invalid.
pub(super) const fn of_tcp(flags: u8) -> StateSet {
    if is_segment(flags) {
        OF_FLOWS
    } else {
        NONE.with(State::Invalid)
    }
}

/// The states of ICMP messages: echoes are flows, errors are about flows, and others are `new`.
pub(super) const fn of_icmp(family: Family, kind: u8) -> StateSet {
    match (family, kind) {
        (Family::Ipv4, 3 | 4 | 5 | 11 | 12) | (Family::Ipv6, 1..=4) => OF_ERRORS,
        (Family::Ipv4, 0 | 8) | (Family::Ipv6, 128 | 129) => OF_FLOWS,
        (Family::Ipv4 | Family::Ipv6, _) => OPEN,
    }
}

/// The states of later fragments of packets of a protocol: `related` after a first one of a known flow. Of TCP,
/// UDP and ICMP they have nothing that flows are known by.
pub(super) const fn of_later_fragments(family: Family, number: u8) -> StateSet {
    match (family, number) {
        (_, protocol::TCP | protocol::UDP)
        | (Family::Ipv4, protocol::ICMP)
        | (Family::Ipv6, protocol::ICMPV6) => OPEN.with(State::Related),
        (Family::Ipv4 | Family::Ipv6, _) => OF_FLOWS.with(State::Related),
    }
}

/// The numbers up to `last`, divided by what `of` says of each.
pub(super) fn divided(last: u16, of: impl Fn(u16) -> StateSet) -> Vec<(Values, StateSet)> {
    let mut parts: BTreeMap<StateSet, Vec<(u128, u128)>> = BTreeMap::new();
    for number in 0..=last {
        let value = u128::from(number);
        parts.entry(of(number)).or_default().push((value, value));
    }
    let parts = parts.into_iter();
    parts
        .map(|(states, values)| (Values::from_ranges(values), states))
        .collect()
}

/// The states as values on their axis.
pub(super) fn numbers(states: StateSet) -> Values {
    let numbers = states.iter().map(|state| u128::from(state.number()));
    Values::from_ranges(numbers.map(|number| (number, number)).collect())
}

/// The state of a value on the axis; `None` if it is none.
pub(super) fn of_number(number: u128) -> Option<State> {
    let mut states = State::ALL.into_iter();
    states.find(|state| u128::from(state.number()) == number)
}
