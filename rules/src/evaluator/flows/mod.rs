//! Flows as a plain map with a plain clock: the meaning of `state`.
//!
//! The map ([`FlowMap`]) says which state each packet has. It knows nothing of the table in the kernel that it is compared
//! with: it works on [`Datagram`]s, which say what a packet is, and not on its bytes. [`Tracker`] reads these from frames,
//! and asks the rules whether a packet out may be an answer to what they let in ([`lets_in`]).
//!
//! ```text
//! datagram  what a packet is to flows
//! read      the datagram of a frame
//! map       the flows, and the states of packets
//! reverse   whether rules let in what a packet out may be an answer to
//! tracker   a sequence of frames at the hooks of one machine
//! ```

mod datagram;
mod map;
mod read;
mod reverse;
mod tracker;

pub(crate) use self::map::is_segment;
pub use self::{
    datagram::{Content, Datagram, FragmentHeader},
    map::{FlowEnd, FlowMap, FlowPhase, FlowProtocol, KnownFlow, Tracked},
    reverse::{lets_in, lets_in_invoking, reverse_verdict},
    tracker::{Sighting, Tracker},
};
