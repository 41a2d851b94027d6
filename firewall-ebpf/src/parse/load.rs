//! How the parser reads a frame.

use super::headers::present;
use crate::{abi::Reason, packet::Packet};

/// What ends a packet that nothing but its frame limits.
pub(super) const NO_LIMIT: u32 = u32::MAX;

/// The largest length that an IP header can state.
const MAX_STATED: u32 = u16::MAX as u32;

/// Reads `N` bytes at an offset.
#[inline(always)]
pub(super) fn load<const N: usize, P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
) -> Result<[u8; N], Reason> {
    packet.load(offset).ok_or(Reason::Truncated)
}

/// The length of what begins at `offset`, where the IP header states none: all that is left, if
/// that is more than it could state, which only frames that kernels make are (BIG TCP). Such
/// headers have 0 in the place of a length (`iph_totlen`, `include/linux/ip.h`, Linux 6.3).
#[inline(always)]
pub(super) fn unstated_len<P: Packet + ?Sized>(packet: &P, offset: u32, limit: u32) -> Option<u32> {
    let len = packet.len();
    let end = if len > limit { limit } else { len };
    let rest = end.wrapping_sub(offset);
    (end >= offset && rest > MAX_STATED).then_some(rest)
}

/// The bit [`present::IN_FIRST_BUFFER`] of an IP packet whose last byte is before `end`.
#[inline(always)]
pub(super) fn in_first_buffer<P: Packet + ?Sized>(packet: &P, end: u32) -> u32 {
    // By the sign of the difference: a branch is one path more for the verifier.
    let is_in = end.wrapping_sub(packet.first_len()).wrapping_sub(1) >> 31;
    is_in * present::IN_FIRST_BUFFER
}
