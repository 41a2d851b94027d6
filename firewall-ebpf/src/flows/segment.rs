//! The numbers of a TCP segment.

use super::fields::upper_at;
use crate::{
    packet::Packet,
    parse::{Headers, present, protocol},
};

/// The sequence number of a TCP segment and its acknowledgment number (RFC 9293, section 3.1); `None` behind IPv6 extension
/// headers.
#[inline(always)]
pub fn segment_numbers<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> Option<[u32; 2]> {
    let at = upper_at(
        packet,
        headers.network,
        headers.has(present::IPV6),
        protocol::TCP,
    )?;
    let at = packet.opaque(u64::from(at)) as u32;
    let sequence = packet.load(at + 4).map(u32::from_be_bytes)?;
    let acknowledgment = packet.load(at + 8).map(u32::from_be_bytes)?;
    Some([sequence, acknowledgment])
}
