//! The shortcut for plain packets: TCP, UDP and ICMP over IPv4, without anything that is optional.

use super::{
    ethertype,
    headers::{Headers, present},
    protocol,
};
use crate::{field::WITH_FLAGS, packet::Packet};

/// What [`parse_plain`] wants to know of an upper-layer protocol, by its number.
static PLAIN: [Plain; 256] = {
    let mut plain = [Plain::new(u16::MAX, 0, 0); 256];
    let (tcp, udp, icmp) = (protocol::TCP, protocol::UDP, protocol::ICMP);
    plain[tcp as usize] = Plain::new(20, present::PORTS | present::TCP, WITH_FLAGS as u16);
    plain[udp as usize] = Plain::new(8, present::PORTS, udp as u16);
    plain[icmp as usize] = Plain::new(4, present::ICMP, icmp as u16);
    plain
};

/// A word, so that it takes one load.
///
/// | bits | |
/// | --- | --- |
/// | 0-15 | the shortest header; more than any packet has when the protocol is not plain |
/// | 16-31 | the key, without flags |
/// | 32-63 | the bits of [`present`] |
#[derive(Clone, Copy)]
struct Plain(u64);

impl Plain {
    const fn new(header_len: u16, present: u32, key: u16) -> Self {
        let present = present | present::IPV4 | present::IN_FIRST_BUFFER;
        Self(header_len as u64 | (key as u64) << 16 | (present as u64) << 32)
    }

    #[inline(always)]
    const fn header_len(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    const fn key(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline(always)]
    const fn present(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// All ones when a bit of [`present`] is set, else 0.
    #[inline(always)]
    const fn having(self, flag: u32) -> u64 {
        ((self.0 << (31 - flag.trailing_zeros())) as i64 >> 63) as u64
    }
}

/// A shortcut for what most packets are: TCP, UDP or ICMP in an IPv4 header without options and no
/// fragment, without a VLAN tag. `None` for all others, and for what is not right.
///
/// No branch depends on which of the protocols it is: that is as random as packets are.
#[inline(always)]
pub(super) fn parse_plain<P: Packet + ?Sized>(packet: &P) -> Option<Headers> {
    const NETWORK: u32 = 14;
    const HEADER_LEN: i32 = 20;
    if packet.bare_ethertype().is_some() {
        return None;
    }
    let [start, middle, addresses, first, end] = packet.plain()?;
    if start >> 40 != u64::from(ethertype::IPV4) << 8 | 0x45 {
        return None;
    }
    let total_len = (start >> 16) as u32 & 0xffff;
    let is_fragment = middle >> 48 & 0x3fff != 0;
    if is_fragment || NETWORK + total_len > packet.first_len() {
        return None;
    }
    let protocol = (middle >> 32) as u8;
    // Opaque, or else the compiler would make branches of a table that it knows.
    let plain = Plain(packet.opaque(PLAIN[usize::from(protocol)].0));
    let tcp = plain.having(present::TCP);
    // Negative when something is missing.
    let room = total_len as i32 - HEADER_LEN - i32::from(plain.header_len());
    // What the TCP header has beyond the shortest, in units of a 1,024th of a byte.
    let options = ((end & 0xf000) as i32 - 0x5000) & tcp as i32;
    if (room - (options >> 10)) | options < 0 {
        return None;
    }
    let flags = (end & tcp) as u8;
    let ports = first & plain.having(present::PORTS);
    let icmp = first & plain.having(present::ICMP);
    Some(Headers {
        src_high: addresses & !0xffff_ffff,
        src_low: 0,
        dst_high: addresses << 32,
        dst_low: 0,
        present: plain.present(),
        network: NETWORK,
        ethertype: ethertype::IPV4,
        sport: (ports >> 48) as u16,
        dport: (ports >> 32) as u16,
        icmp: (icmp >> 48) as u16,
        protocol,
        tcp_flags: flags,
        ttl: (middle >> 40) as u8,
        key: plain.key() | u16::from(flags),
    })
}
