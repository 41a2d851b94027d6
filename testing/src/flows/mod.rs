//! Conversations: random packets of a few hosts in both directions, and the table of flows as a plain map.
//!
//! The map ([`Model`]) says which state each packet has. It knows nothing of the table that it is compared with: it
//! works on [`Datagram`]s, which say what a packet is, and not on its bytes.

mod conversation;
mod datagram;
mod memory;
mod model;

pub use self::{
    conversation::{Conversation, Turn},
    datagram::{Content, Datagram},
    memory::MemoryTable,
    model::{Model, Periods, Verdict},
};
