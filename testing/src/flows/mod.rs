//! Conversations: random packets of a few hosts in both directions, their frames, and a table of flows in memory.
//!
//! Which state each packet has, the plain map of the evaluator says ([`rules::evaluator::flows`]).

mod conversation;
mod frame;
mod memory;

pub use self::{
    conversation::{Conversation, Turn},
    frame::frame,
    memory::MemoryTable,
};
