//! The kinds of packets, each with a section of its own for each direction.

use std::fmt;

use firewall_ebpf::image::{
    REVERSE, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, section_offset, state_offset,
};

use crate::{
    field::{State, StateSet},
    model::Direction,
};

/// A kind of packet, with a section of its own for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Every other EtherType.
    Other,
}

/// What a section is for: packets of one kind that go in one direction, and their states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionKind {
    /// The direction.
    pub direction: Direction,
    /// The kind of packets.
    pub packets: PacketKind,
    /// Their states; `None` in an image with one section for all states.
    pub states: Option<StateSet>,
    /// Whether the section is also that for packets that packets out may answer, which have no state of their own.
    pub is_reverse: bool,
}

impl SectionKind {
    /// Packets of one kind and direction, whatever their state.
    #[must_use]
    pub const fn of_all_states(direction: Direction, packets: PacketKind) -> Self {
        Self {
            direction,
            packets,
            states: None,
            is_reverse: false,
        }
    }

    /// The offsets of the section: it is written once for each state.
    pub(super) fn offsets(self) -> impl Iterator<Item = u32> {
        let states = self.states.unwrap_or(StateSet::default().with(State::New));
        let numbers = states.iter().map(State::number);
        let first = self.offset();
        numbers
            .chain(self.is_reverse.then_some(REVERSE))
            .map(move |number| first + state_offset(number))
    }

    /// The offset of the section for [`State::New`].
    const fn offset(self) -> u32 {
        let section = match self.packets {
            PacketKind::Ipv4 => SECTION_IPV4,
            PacketKind::Ipv6 => SECTION_IPV6,
            PacketKind::Other => SECTION_OTHER,
        };
        section_offset(self.direction, section)
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Other => "other",
        })
    }
}

/// In the form that precedes "packets".
impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.states.is_some_and(StateSet::is_empty) {
            write!(f, "answered ")?;
        }
        if let Some(states) = self.states.filter(|states| *states != StateSet::ALL) {
            write!(f, "{} ", states_in_words(states))?;
        }
        match self.direction {
            Direction::In => write!(f, "{}", self.packets),
            Direction::Out => write!(f, "outgoing {}", self.packets),
        }
    }
}

/// `new`, `new or invalid`, `new, related or invalid`.
fn states_in_words(states: StateSet) -> String {
    let words: Vec<&str> = states.iter().map(State::as_str).collect();
    match words.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_a_section_are_named_with_their_states() {
        let shown = |direction, states: Option<&[State]>| {
            let kind = SectionKind {
                states: states.map(|states| states.iter().copied().collect()),
                ..SectionKind::of_all_states(direction, PacketKind::Ipv4)
            };
            kind.to_string()
        };
        let [new, established, related, invalid] = State::ALL;
        assert_eq!(shown(Direction::In, None), "IPv4");
        assert_eq!(shown(Direction::In, Some(&State::ALL)), "IPv4");
        assert_eq!(shown(Direction::In, Some(&[new])), "new IPv4");
        assert_eq!(
            shown(Direction::In, Some(&[established, related])),
            "established or related IPv4"
        );
        assert_eq!(
            shown(Direction::Out, Some(&[new, related, invalid])),
            "new, related or invalid outgoing IPv4"
        );
    }
}
