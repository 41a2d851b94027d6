//! Conversations: random packets of a few hosts in both directions, their frames, and a table of flows in memory.
//!
//! Which state each packet has, the plain map of the evaluator says ([`rules::evaluator::flows`]).

mod conversation;
mod frame;
mod memory;

use std::time::Duration;

use rules::model::Timeouts;

pub use self::{
    conversation::{Conversation, Turn},
    frame::frame,
    memory::MemoryTable,
};

/// Timeouts that differ from one another, and are multiples of the coarsest unit of a stamp.
pub const TIMEOUTS: Timeouts = Timeouts {
    tcp_opening: Duration::from_secs(128),
    tcp_incoming: Duration::from_secs(96),
    tcp: Duration::from_secs(86_400),
    tcp_half_closed: Duration::from_secs(3_584),
    tcp_closed: Duration::from_secs(160),
    tcp_reset: Duration::from_secs(608),
    udp: Duration::from_secs(32),
    udp_answered: Duration::from_secs(192),
    icmp_echo: Duration::from_secs(64),
    other: Duration::from_secs(640),
};
