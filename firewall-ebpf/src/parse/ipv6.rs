//! IPv6 headers and their extension headers.

use super::{
    headers::{Headers, present},
    l4::Upper,
    load::{in_first_buffer, load, unstated_len},
    protocol,
};
use crate::{abi::Reason, packet::Packet};

/// The maximum number of IPv6 extension headers that a packet may carry.
pub const MAX_EXTENSIONS: u32 = 8;

/// IPv6 and its extension headers (RFC 8200, RFC 4302 for the authentication header), in what ends
/// before `limit`.
#[inline(always)]
pub(super) fn parse_ipv6<P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
    limit: u32,
    headers: &mut Headers,
) -> Result<Upper, Reason> {
    let start: [u8; 8] = load(packet, offset)?;
    if start[0] >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    headers.present = present::IPV6;
    headers.src_high = u64::from_be_bytes(load(packet, offset + 8)?);
    headers.src_low = u64::from_be_bytes(load(packet, offset + 16)?);
    headers.dst_high = u64::from_be_bytes(load(packet, offset + 24)?);
    headers.dst_low = u64::from_be_bytes(load(packet, offset + 32)?);
    let payload_len = u32::from(u16::from_be_bytes([start[4], start[5]]));
    headers.ttl = start[7];
    let mut next = start[6];
    let mut at = offset + 40;
    let mut end = at + payload_len;
    if payload_len == 0 {
        let longer = if next == protocol::HOP_BY_HOP {
            Some(jumbo_payload_len(packet, at, limit)?)
        } else {
            unstated_len(packet, at, limit)
        };
        if let Some(longer) = longer {
            // A sum that wraps ends before the first extension header does, and counts as truncated.
            end = at.wrapping_add(longer);
            headers.present |= present::OVERLONG;
        }
    }
    if end > limit || !packet.holds(end) {
        return Err(Reason::Truncated);
    }
    headers.present |= in_first_buffer(packet, end);
    let mut fragment_offset = 0;
    let mut extensions = 0;
    while matches!(
        next,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION
    ) {
        if extensions == MAX_EXTENSIONS {
            return Err(Reason::TooManyHeaders);
        }
        extensions += 1;
        let extension: [u8; 4] = load(packet, at)?;
        let words = u32::from(extension[1]);
        at += match next {
            protocol::FRAGMENT => 8,
            protocol::AUTHENTICATION => (words + 2) * 4,
            _ => (words + 1) * 8,
        };
        if at > end {
            return Err(Reason::Truncated);
        }
        let is_fragment = next == protocol::FRAGMENT;
        next = extension[0];
        if is_fragment {
            headers.present |= present::FRAGMENT;
            fragment_offset = u32::from(u16::from_be_bytes([extension[2], extension[3]]) >> 3);
            if fragment_offset != 0 {
                break;
            }
        }
        at = packet.opaque(u64::from(at)) as u32;
        next = packet.opaque(u64::from(next)) as u8;
        fragment_offset = packet.opaque(u64::from(fragment_offset)) as u32;
    }
    headers.protocol = next;
    Ok(Upper {
        at,
        end,
        fragment_offset,
    })
}

/// The payload length of a packet whose IP header says 0, in front of hop-by-hop options: the first
/// of them states it (RFC 2675). Without that option it is what [`unstated_len`] says.
#[inline(always)]
fn jumbo_payload_len<P: Packet + ?Sized>(packet: &P, at: u32, limit: u32) -> Result<u32, Reason> {
    /// The type of the option, and the length of its data.
    const JUMBO_PAYLOAD: u16 = 0xc204;
    if at + 8 > limit {
        return Err(Reason::Truncated);
    }
    let options: [u8; 8] = load(packet, at)?;
    let [_next, _units, kind, length, payload_len @ ..] = options;
    let payload_len = u32::from_be_bytes(payload_len);
    if u16::from_be_bytes([kind, length]) == JUMBO_PAYLOAD && payload_len >> 16 != 0 {
        return Ok(payload_len);
    }
    unstated_len(packet, at, limit).ok_or(Reason::Malformed)
}
