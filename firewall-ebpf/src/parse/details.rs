//! The fields of a frame that few rules name, each read when a rule set asks for it.
//!
//! This module owns what they mean on the wire, for frames that [`parse`](super::parse) has read to
//! the end: what is read here again cannot be missing. All of it is read from the frame, although
//! the parser has met some before: what outlives the parser costs every packet a place on the
//! stack, and the verifier a path for each of its values that it tells apart.

use super::{
    ethertype,
    headers::{Headers, present},
};
use crate::{
    field::{FRAGMENT, UNTAGGED},
    packet::Packet,
};

/// The source MAC address in the upper 48 bits.
#[inline(always)]
pub fn src_mac<P: Packet + ?Sized>(packet: &P) -> u64 {
    word(packet, 4) << 16
}

/// The destination MAC address in the upper 48 bits.
#[inline(always)]
pub fn dst_mac<P: Packet + ?Sized>(packet: &P) -> u64 {
    word(packet, 0) & !0xffff
}

/// The identifier in the outermost VLAN tag, or [`UNTAGGED`].
#[inline(always)]
pub fn vlan<P: Packet + ?Sized>(packet: &P) -> u16 {
    if ethertype::is_tag(half(packet, 12)) {
        half(packet, 14) & (UNTAGGED - 1)
    } else {
        UNTAGGED
    }
}

/// The EtherType behind all VLAN tags, in a PPPoE session that of the IP packet it carries.
#[inline(always)]
pub fn ethertype<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> u16 {
    if headers.has(present::IPV4) {
        return ethertype::IPV4;
    }
    if headers.has(present::IPV6) {
        return ethertype::IPV6;
    }
    half(packet, headers.network.wrapping_sub(2))
}

/// The IPv4 time to live or the IPv6 hop limit.
#[inline(always)]
pub fn ttl<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> u8 {
    let is_ipv6 = headers.bit(present::IPV6);
    let [first, second] = half(packet, headers.network + 8 - is_ipv6 * 2).to_be_bytes();
    if is_ipv6 == 0 { first } else { second }
}

/// The length of the IP packet, 65,535 if it is longer: of IPv4 what its header says, of IPv6 40
/// more than that. [`present::OVERLONG`] packets, whose headers say 0, are always longer.
#[inline(always)]
pub fn length<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> u16 {
    const HEADER: u32 = 40;
    let at = headers.network;
    if headers.has(present::OVERLONG) {
        return 0xffff;
    }
    if headers.has(present::IPV4) {
        return half(packet, at + 2);
    }
    let length = u32::from(half(packet, at + 4)) + HEADER;
    if length > 0xffff {
        0xffff
    } else {
        length as u16
    }
}

/// The code point for differentiated services (RFC 2474), and [`FRAGMENT`] if the packet is one.
#[inline(always)]
pub fn traffic<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> u32 {
    // The class lies in the second byte of IPv4, and between version and flow label in IPv6.
    let class = u32::from(half(packet, headers.network)) >> (headers.bit(present::IPV6) * 4);
    let point = class >> 2 & (FRAGMENT - 1);
    point | (headers.bit(present::FRAGMENT) * FRAGMENT)
}

#[inline(always)]
fn half<P: Packet + ?Sized>(packet: &P, offset: u32) -> u16 {
    packet.load(offset).map_or(0, u16::from_be_bytes)
}

#[inline(always)]
fn word<P: Packet + ?Sized>(packet: &P, offset: u32) -> u64 {
    packet.load(offset).map_or(0, u64::from_be_bytes)
}
