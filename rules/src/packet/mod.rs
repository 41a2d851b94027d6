//! Packets, built as bytes: a [`Packet`] describes one, [`Packet::build`] writes its frame.
//!
//! Lengths and checksums are correct unless [`Packet::damage`] changes them. This module knows only
//! wire formats: it neither sends nor parses.
//!
//! ```
//! use rules::packet::{Packet, tcp_flags};
//!
//! let frame = Packet::ipv4([192, 0, 2, 2].into(), [192, 0, 2, 1].into())
//!     .tcp(40_000, 22, tcp_flags::SYN)
//!     .vlan(10)
//!     .build();
//! assert_eq!(frame.len(), 14 + 4 + 20 + 20);
//! ```

mod builder;
mod damage;
mod layout;
mod link;
mod network;
pub mod protocol;
#[cfg(test)]
mod tests;
mod upper;

pub use self::{
    builder::Packet,
    damage::Damage,
    link::Tag,
    network::{Extension, Fragment},
    upper::tcp_flags,
};
pub use pnet_base::MacAddr;
