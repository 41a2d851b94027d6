//! What a packet is judged by, besides its bytes.

use crate::{field::State, model::Direction};

/// What the kernel knows about a packet, besides its bytes. Interfaces are given by names or by
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context<I> {
    /// Which way the packet goes.
    pub direction: Direction,
    /// The interface on which the packet arrives, or by which it leaves.
    pub interface: I,
    /// The interface on which a packet out arrived; `None` if the machine sends it, and for packets
    /// in.
    pub in_interface: Option<I>,
    /// The mark of a packet out; 0 for packets in.
    pub mark: u32,
    /// What an IP packet is to the flows that are known; [`State::New`] for other packets, and where
    /// no rule asks.
    pub state: State,
}

impl<I> Context<I> {
    /// That of a packet that arrives on an interface.
    pub const fn arriving(interface: I) -> Self {
        Self {
            direction: Direction::In,
            interface,
            in_interface: None,
            mark: 0,
            state: State::New,
        }
    }

    /// That of a packet without a mark that the machine sends by an interface.
    pub const fn sent(interface: I) -> Self {
        Self {
            direction: Direction::Out,
            interface,
            in_interface: None,
            mark: 0,
            state: State::New,
        }
    }

    /// The same with another state.
    #[must_use]
    pub fn in_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// The same with references to the identities of the interfaces.
    pub const fn as_ref(&self) -> Context<&I> {
        Context {
            direction: self.direction,
            interface: &self.interface,
            in_interface: self.in_interface.as_ref(),
            mark: self.mark,
            state: self.state,
        }
    }

    /// The same with other identities of the interfaces.
    pub fn map<J>(self, mut of: impl FnMut(I) -> J) -> Context<J> {
        Context {
            direction: self.direction,
            interface: of(self.interface),
            in_interface: self.in_interface.map(of),
            mark: self.mark,
            state: self.state,
        }
    }
}
