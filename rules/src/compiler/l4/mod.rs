//! The L4 class of a packet: its narrow fields (protocol with TCP flags, ports, ICMP, interface and those that few rules name) fused into one number.

mod class;
mod lookup;
pub(super) mod reduction;

pub(super) use self::class::{L4Key, SignatureId};
