//! Flows as a plain map with a plain clock: the meaning of `state`.
//!
//! The map ([`FlowMap`]) says which state each packet has. It knows nothing of the table in the kernel that it is compared
//! with: it works on [`Datagram`]s, which say what a packet is, and not on its bytes.

mod datagram;
mod map;

pub use self::{
    datagram::{Content, Datagram},
    map::{FlowMap, Tracked},
};
