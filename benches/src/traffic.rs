//! Traffic over a test network: frames sent through AF_PACKET at a steady rate, and counted where
//! they arrive.
//!
//! The counting socket comes after the XDP hook, so a frame that was dropped there does not arrive.
//! Nothing is estimated: the numbers sent, received, and lost by the receiver are all known.

mod receiver;
mod sender;
mod socket;

#[cfg(test)]
mod tests;

pub use receiver::{Arrivals, FlowArrivals, Receiver};
pub use sender::{Limit, Sender, Sent};
