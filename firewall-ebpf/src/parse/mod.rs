//! The packet parser: from the bytes of a frame to the fields that rules can name.
//!
//! This room owns what a field means on the wire. It knows nothing of rules. A frame whose headers
//! cannot be read to the end is not guessed at: it yields the [`Reason`](crate::abi::Reason)
//! instead.
//!
//! ```text
//! frame    the parser: the shortcut, or else one layer after the other
//! plain    the shortcut for what most packets are
//! pppoe, ipv4, ipv6, l4   one layer each
//! details  fields that few rules name, read when a rule set asks for them
//! ```

pub mod details;
pub mod ethertype;
mod frame;
mod headers;
mod ipv4;
mod ipv6;
mod l4;
mod load;
mod plain;
mod pppoe;
pub mod protocol;

pub use frame::{MAX_TAGS, parse};
pub use headers::{Headers, present};
pub use ipv6::MAX_EXTENSIONS;
