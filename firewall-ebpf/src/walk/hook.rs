//! The hook at which a packet is met, as the walker sees it.

use crate::abi::Direction;

/// What the kernel knows at a hook about a packet, besides its bytes. Each answer may cost a call:
/// it is asked for when a section has rules that need it.
pub trait Hook {
    /// The direction of all packets at the hook. A constant where code must not be made for both.
    fn direction(&self) -> Direction;

    /// The index of the receiving interface, of packets out that of the outgoing one.
    fn interface(&self) -> u32;

    /// The index of the interface on which a packet out was received; 0 if the machine sends it, and
    /// of packets in.
    #[inline(always)]
    fn in_interface(&self) -> u32 {
        0
    }

    /// The mark of a packet out; 0 of packets in.
    #[inline(always)]
    fn mark(&self) -> u32 {
        0
    }

    /// The number of the packet's [`State`](crate::state::State); 0 where no rule asks for states, and
    /// of packets that are not IP.
    #[inline(always)]
    fn state(&self) -> u32 {
        0
    }
}
