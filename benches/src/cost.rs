//! What a packet costs: CPU time per packet with a firewall at the far end of a veth pair, or
//! alone.

pub mod arena;
pub mod clock;
pub mod driver;
mod offload;
