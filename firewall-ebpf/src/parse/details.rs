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

/// The source MAC address in the upper 48 bits; 0 without Ethernet header.
#[inline(always)]
pub fn src_mac<P: Packet + ?Sized>(packet: &P) -> u64 {
    if packet.bare_ethertype().is_some() {
        return 0;
    }
    word(packet, 4) << 16
}

/// The destination MAC address, likewise.
#[inline(always)]
pub fn dst_mac<P: Packet + ?Sized>(packet: &P) -> u64 {
    if packet.bare_ethertype().is_some() {
        return 0;
    }
    word(packet, 0) & !0xffff
}

/// The identifier in the outermost VLAN tag, or [`UNTAGGED`].
#[inline(always)]
pub fn vlan<P: Packet + ?Sized>(packet: &P) -> u16 {
    if let Some(tag) = packet.outer_tag() {
        return tag & (UNTAGGED - 1);
    }
    if packet.bare_ethertype().is_some() {
        return UNTAGGED;
    }
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
    if let Some(kind) = packet.bare_ethertype() {
        return kind;
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
/// more than that. [`present::OVERLONG`] packets, whose headers say 0, are always longer. Of a packet
/// that is still to be cut into several, it is the length of one of these.
#[inline(always)]
pub fn length<P: Packet + ?Sized>(packet: &P, headers: &Headers) -> u16 {
    const HEADER: u32 = 40;
    let at = headers.network;
    if let Some(length) = packet.segment_len(at) {
        return if length > 0xffff {
            0xffff
        } else {
            length as u16
        };
    }
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

/// The groups of the options of an IPv4 packet, a bit for each; `group` has that of an option.
///
/// The list of options (RFC 791, section 3.1) ends with option 0, or before an option that does not
/// fit: one shorter than its number and its length, or longer than what is left of the header.
///
/// Which option it is decides masks, not branches: the verifier would follow both ways for each of
/// the options.
#[inline(always)]
pub fn ip_options<P: Packet + ?Sized>(
    packet: &P,
    headers: &Headers,
    group: impl Fn(u8) -> u8,
) -> u32 {
    const HEADER: u32 = 20;
    const MAX_OPTIONS: u32 = 40;
    const END: u64 = 0;
    const NOP: u64 = 1;
    // All ones if `left` is less than `right`, else 0.
    let less = |left: u64, right: u64| negative(packet, left.wrapping_sub(right));
    let [first, _] = half(packet, headers.network).to_be_bytes();
    let mut left = u64::from((u32::from(first & 0x0f) * 4).saturating_sub(HEADER));
    let mut at = u64::from(headers.network + HEADER);
    let mut groups = 0;
    let mut seen = 0;
    // Each option has a byte or more.
    while seen < MAX_OPTIONS && left != 0 {
        // The last byte of the header may be the last of the frame, and old verifiers do not accept a
        // byte alone there, so it is loaded with the one before it. It is then its own length, too
        // great for an option that needs one.
        let is_last = less(left, 2);
        let Some(word) = packet.load(at.wrapping_add(is_last) as u32) else {
            break;
        };
        let word = u64::from(u16::from_be_bytes(word));
        let option = word >> 8_u64.wrapping_add(is_last << 3) & 0xff;
        let stated = word & 0xff;
        let is_long = less(NOP, option);
        let length = (stated.wrapping_sub(1) & is_long).wrapping_add(1);
        let rest = left.wrapping_sub(length);
        let fits = negative(packet, !(stated.wrapping_sub(2) & is_long | rest));
        groups = packet.opaque(groups | u64::from(group(option as u8)) & fits);
        left = packet.opaque(rest & fits & less(END, option));
        at = packet.opaque(at.wrapping_add(length));
        seen += 1;
    }
    groups as u32
}

/// All ones if `number` is negative, else 0. Opaque, or else the compiler would branch.
#[inline(always)]
fn negative<P: Packet + ?Sized>(packet: &P, number: u64) -> u64 {
    (packet.opaque(number) as i64 >> 63) as u64
}

#[inline(always)]
fn half<P: Packet + ?Sized>(packet: &P, offset: u32) -> u16 {
    packet.load(offset).map_or(0, u16::from_be_bytes)
}

#[inline(always)]
fn word<P: Packet + ?Sized>(packet: &P, offset: u32) -> u64 {
    packet.load(offset).map_or(0, u64::from_be_bytes)
}
