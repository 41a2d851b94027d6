//! The state of a packet: what it is to the flows that are known.

/// What a packet is to the flows that are known. A packet that is not IP has no state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Of no known flow, or of one that is not answered yet, in the direction in which it began.
    #[default]
    New = 0,
    /// Of a flow that is answered, or the first answer.
    Established = 1,
    /// Not of a known flow but caused by one: an ICMP error about one of its packets.
    Related = 2,
    /// TCP flags that no segment has, or an ICMP error about a packet of no known flow.
    Invalid = 3,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::New, Self::Established, Self::Related, Self::Invalid];

    /// The number.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The state as written in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Related => "related",
            Self::Invalid => "invalid",
        }
    }
}

/// A set of states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateSet(u8);

impl StateSet {
    /// All states.
    pub const ALL: Self = Self(0b1111);

    /// This set and one more state.
    #[must_use]
    pub const fn with(self, state: State) -> Self {
        Self(self.0 | 1 << state.number())
    }

    /// Whether a state is in the set.
    #[must_use]
    pub const fn has(self, state: State) -> bool {
        self.0 & 1 << state.number() != 0
    }

    /// The states that are not in the set.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }

    /// The states that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no state is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The states in the set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = State> + Clone {
        State::ALL.into_iter().filter(move |state| self.has(*state))
    }
}

impl FromIterator<State> for StateSet {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        states.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_they_are_made_of() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state.number(), index as u32);
            let one = StateSet::default().with(state);
            assert!(one.iter().eq([state]));
            assert!(!one.complement().has(state));
            assert!(one.intersection(one.complement()).is_empty());
        }
        assert_eq!(State::ALL.into_iter().collect::<StateSet>(), StateSet::ALL);
        assert!(StateSet::ALL.complement().is_empty());
    }
}
