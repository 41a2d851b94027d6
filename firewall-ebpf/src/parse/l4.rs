//! The upper-layer header: ports, TCP flags, ICMP messages.

use super::{
    headers::{Headers, present},
    load::load,
    protocol,
};
use crate::{abi::Reason, field::WITH_FLAGS, packet::Packet};

/// Where the upper-layer header is.
pub(super) struct Upper {
    /// The offset of its first byte.
    pub(super) at: u32,
    /// The offset after the last byte of the packet, without the padding of the frame.
    pub(super) end: u32,
    /// The fragment's offset in units of 8 bytes, 0 for first fragments and whole packets.
    pub(super) fragment_offset: u32,
}

impl Upper {
    #[inline(always)]
    pub(super) fn opaque<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self {
            at: packet.opaque(u64::from(self.at)) as u32,
            end: packet.opaque(u64::from(self.end)) as u32,
            fragment_offset: packet.opaque(u64::from(self.fragment_offset)) as u32,
        }
    }
}

/// The upper-layer header, which must lie inside the packet but for later fragments, which have
/// none.
#[inline(always)]
pub(super) fn parse_l4<P: Packet + ?Sized>(
    packet: &P,
    upper: &Upper,
    headers: &mut Headers,
) -> Result<(), Reason> {
    let &Upper {
        at,
        end,
        fragment_offset,
    } = upper;
    if fragment_offset != 0 {
        // A fragment at offset 1 overwrites the TCP flags of the first one (RFC 3128).
        let overlaps = fragment_offset == 1 && headers.protocol == protocol::TCP;
        return if overlaps {
            Err(Reason::Malformed)
        } else {
            Ok(())
        };
    }
    let is_ipv6 = headers.has(present::IPV6);
    if headers.protocol == protocol::IGMP && !is_ipv6 {
        headers.present |= group_query(packet, upper, headers)?;
        return Ok(());
    }
    let needed = match headers.protocol {
        protocol::TCP => 20,
        protocol::UDP | protocol::UDPLITE => 8,
        protocol::SCTP | protocol::DCCP => 12,
        protocol::ICMP if !is_ipv6 => 4,
        protocol::ICMPV6 if is_ipv6 => 4,
        _ => return Ok(()),
    };
    if at + needed > end {
        return Err(Reason::Truncated);
    }
    let first: [u8; 4] = load(packet, at)?;
    if matches!(headers.protocol, protocol::ICMP | protocol::ICMPV6) {
        headers.icmp = u16::from_be_bytes([first[0], first[1]]);
        headers.present |= present::ICMP;
        return Ok(());
    }
    headers.sport = u16::from_be_bytes([first[0], first[1]]);
    headers.dport = u16::from_be_bytes([first[2], first[3]]);
    headers.present |= present::PORTS;
    if headers.protocol == protocol::TCP {
        let [data_offset, flags] = load(packet, at + 12)?;
        let header_len = u32::from(data_offset >> 4) * 4;
        if header_len < needed {
            return Err(Reason::Malformed);
        }
        if at + header_len > end {
            return Err(Reason::Truncated);
        }
        headers.tcp_flags = flags;
        headers.key = WITH_FLAGS as u16 | u16::from(flags);
        headers.present |= present::TCP;
    }
    Ok(())
}

/// The bit [`present::NEIGHBOR`] if an IGMP message is a query of a multicast router to its own
/// link: whole, of at least 8 bytes, with the time to live 1, and to a group (RFC 3376, sections 4
/// and 4.1).
#[inline(always)]
fn group_query<P: Packet + ?Sized>(
    packet: &P,
    upper: &Upper,
    headers: &Headers,
) -> Result<u32, Reason> {
    const MEMBERSHIP_QUERY: u8 = 0x11;
    const GROUPS: u64 = 0xe;
    let is_to_its_link = headers.ttl == 1 && headers.dst_high >> 60 == GROUPS;
    if headers.has(present::FRAGMENT) || !is_to_its_link || upper.at + 8 > upper.end {
        return Ok(0);
    }
    // The verifier does not take the bound of a single byte, which compiles to `at >= end`.
    let [kind, _] = load(packet, upper.at)?;
    Ok(if kind == MEMBERSHIP_QUERY {
        present::NEIGHBOR
    } else {
        0
    })
}
