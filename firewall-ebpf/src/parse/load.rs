//! How the parser reads a frame.

use super::headers::present;
use crate::{abi::Reason, packet::Packet};

/// Reads `N` bytes at an offset.
#[inline(always)]
pub(super) fn load<const N: usize, P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
) -> Result<[u8; N], Reason> {
    packet.load(offset).ok_or(Reason::Truncated)
}

/// The bit [`present::IN_FIRST_BUFFER`] of an IP packet whose last byte is before `end`.
#[inline(always)]
pub(super) fn in_first_buffer<P: Packet + ?Sized>(packet: &P, end: u32) -> u32 {
    // By the sign of the difference: a branch is one path more for the verifier.
    let is_in = end.wrapping_sub(packet.first_len()).wrapping_sub(1) >> 31;
    is_in * present::IN_FIRST_BUFFER
}
