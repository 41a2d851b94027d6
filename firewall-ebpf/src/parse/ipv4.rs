//! IPv4 headers.

use super::{
    headers::{Headers, present},
    l4::Upper,
    load::{in_first_buffer, load, unstated_len},
};
use crate::{abi::Reason, packet::Packet};

/// IPv4 (RFC 791), in what ends before `limit`.
#[inline(always)]
pub(super) fn parse_ipv4<P: Packet + ?Sized>(
    packet: &P,
    offset: u32,
    limit: u32,
    headers: &mut Headers,
) -> Result<Upper, Reason> {
    let start: [u8; 8] = load(packet, offset)?;
    let middle: [u8; 8] = load(packet, offset + 8)?;
    let dst = u32::from_be_bytes(load(packet, offset + 16)?);
    let header_len = u32::from(start[0] & 0x0f) * 4;
    let mut total_len = u32::from(u16::from_be_bytes([start[2], start[3]]));
    let mut overlong = 0;
    if total_len == 0 {
        total_len = unstated_len(packet, offset, limit).ok_or(Reason::Malformed)?;
        overlong = present::OVERLONG;
    }
    if start[0] >> 4 != 4 || header_len < 20 || total_len < header_len {
        return Err(Reason::Malformed);
    }
    let end = offset.wrapping_add(total_len);
    // Rules can ask for the options, which are in the first buffer as all headers are.
    let after_options = offset.wrapping_add(header_len);
    if end > limit || !packet.holds(end) || packet.first_len() < after_options {
        return Err(Reason::Truncated);
    }
    let in_first = in_first_buffer(packet, end);
    let src = u32::from_be_bytes([middle[4], middle[5], middle[6], middle[7]]);
    let fragment = u16::from_be_bytes([start[6], start[7]]);
    headers.present = in_first | overlong | present::IPV4;
    if fragment & 0x3fff != 0 {
        headers.present |= present::FRAGMENT;
    }
    headers.ttl = middle[0];
    headers.src_high = u64::from(src) << 32;
    headers.dst_high = u64::from(dst) << 32;
    headers.protocol = middle[1];
    Ok(Upper {
        at: offset + header_len,
        end,
        fragment_offset: u32::from(fragment & 0x1fff),
    })
}
