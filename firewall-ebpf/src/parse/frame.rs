//! The parser of a whole frame, and of its link layer.

use super::{
    ethertype,
    headers::Headers,
    ipv4::parse_ipv4,
    ipv6::parse_ipv6,
    l4::parse_l4,
    load::{NO_LIMIT, load},
    plain::parse_plain,
    pppoe::parse_pppoe,
};
use crate::{abi::Reason, field::NO_PROTOCOL, packet::Packet};

/// The maximum number of VLAN tags that a frame may carry.
pub const MAX_TAGS: u32 = 4;

/// Reads the headers of a packet.
///
/// # Errors
///
/// [`Reason::Truncated`] when the frame ends inside a header or before the length that the IP
/// header states, [`Reason::Malformed`] when a header contradicts itself, and
/// [`Reason::TooManyTags`] or [`Reason::TooManyHeaders`] beyond [`MAX_TAGS`] and
/// [`MAX_EXTENSIONS`](super::MAX_EXTENSIONS).
#[inline(always)]
pub fn parse<P: Packet + ?Sized>(packet: &P) -> Result<Headers, Reason> {
    let headers = match parse_plain(packet) {
        Some(headers) => headers,
        None => parse_any(packet)?,
    };
    Ok(headers.opaque(packet))
}

/// Reads the headers of any frame.
#[inline(always)]
fn parse_any<P: Packet + ?Sized>(packet: &P) -> Result<Headers, Reason> {
    let mut headers = Headers::default();
    let mut offset = 0;
    if let Some(kind) = packet.bare_ethertype() {
        headers.ethertype = kind;
    } else {
        offset = 12;
        let mut tags = 0;
        loop {
            let kind = u16::from_be_bytes(load(packet, offset)?);
            offset += 2;
            match kind {
                tag if ethertype::is_tag(tag) => {
                    if tags == MAX_TAGS {
                        return Err(Reason::TooManyTags);
                    }
                    tags += 1;
                    offset += 2;
                }
                _ => {
                    headers.ethertype = kind;
                    break;
                }
            }
        }
        // Asked last: before the loop it would double the verifier's paths through it.
        if tags == MAX_TAGS && packet.outer_tag().is_some() {
            return Err(Reason::TooManyTags);
        }
    }
    let mut limit = NO_LIMIT;
    if headers.ethertype == ethertype::PPPOE && packet.bare_ethertype().is_none() {
        (offset, limit) = parse_pppoe(packet, offset, &mut headers)?;
    }
    let place = packet.opaque(u64::from(limit) << 32 | u64::from(offset));
    let (offset, limit) = (place as u32, (place >> 32) as u32);
    headers.network = offset;
    let upper = match headers.ethertype {
        ethertype::IPV4 => parse_ipv4(packet, offset, limit, &mut headers)?,
        ethertype::IPV6 => parse_ipv6(packet, offset, limit, &mut headers)?,
        _ => {
            headers.present |= headers.neighbor();
            headers.key = NO_PROTOCOL as u16;
            return Ok(headers);
        }
    };
    headers.src_high = packet.opaque(headers.src_high);
    headers.dst_high = packet.opaque(headers.dst_high);
    headers.src_low = packet.opaque(headers.src_low);
    headers.dst_low = packet.opaque(headers.dst_low);
    headers.ttl = packet.opaque(u64::from(headers.ttl)) as u8;
    headers.present = packet.opaque(u64::from(headers.present)) as u32;
    headers.protocol = packet.opaque(u64::from(headers.protocol)) as u8;
    headers.key = headers.protocol.into();
    parse_l4(packet, &upper.opaque(packet), &mut headers)?;
    headers.present |= headers.neighbor();
    Ok(headers)
}
