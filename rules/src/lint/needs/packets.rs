//! The packets that a machine needs, as the evaluator sees them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_ebpf::parse::{ethertype, protocol};

use crate::{evaluator::Fields, field::Family};

/// A local port that no service has: in the middle of those that Linux gives to connections that a
/// machine starts (`net.ipv4.ip_local_port_range`).
pub(super) const EPHEMERAL: u16 = 47_211;

/// A port of the other end that no service has.
const FOREIGN: u16 = 49_999;

/// A protocol, and an ICMP type, for experiments (RFC 3692, RFC 4727).
const EXPERIMENT: u8 = 253;

/// The flags of an answer to a SYN.
pub(super) const SYN_ACK: u8 = 0x12;
/// The flag of all packets of a connection after that.
pub(super) const ACK: u8 = 0x10;
/// The flag that opens a connection.
pub(super) const SYN: u8 = 0x02;

/// Hosts of the internet, of which no list is likely to have all.
const FAR_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(9, 9, 9, 9),
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(8, 8, 8, 8),
];
const FAR_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888),
];

/// The hosts of the internet from which packets may come.
pub(super) fn far(family: Family) -> [IpAddr; 3] {
    match family {
        Family::Ipv4 => FAR_V4.map(IpAddr::V4),
        Family::Ipv6 => FAR_V6.map(IpAddr::V6),
    }
}

/// An IP packet without upper-layer header, from the internet to this machine.
fn ip(family: Family, protocol: u8) -> Fields {
    let own = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    let [src, ..] = far(family);
    Fields {
        dst_mac: 0x0000_5e00_53ff,
        src_mac: 0x0000_5e00_53fe,
        ethertype: match family {
            Family::Ipv4 => ethertype::IPV4,
            Family::Ipv6 => ethertype::IPV6,
        },
        family: Some(family),
        length: Some(576),
        dscp: Some(0),
        src: Some(src),
        dst: Some(own),
        protocol: Some(protocol),
        hop_limit: Some(57),
        is_fragment: Some(false),
        ..Fields::default()
    }
}

/// A TCP packet with these flags.
pub(super) fn tcp(family: Family, sport: u16, dport: u16, flags: u8) -> Fields {
    Fields {
        sport: Some(sport),
        dport: Some(dport),
        tcp_flags: Some(flags),
        ..ip(family, protocol::TCP)
    }
}

/// A UDP packet.
pub(super) fn udp(family: Family, sport: u16, dport: u16) -> Fields {
    Fields {
        sport: Some(sport),
        dport: Some(dport),
        ..ip(family, protocol::UDP)
    }
}

/// An ICMP message of the family.
pub(super) fn icmp(family: Family, kind: u8, code: u8) -> Fields {
    let number = match family {
        Family::Ipv4 => protocol::ICMP,
        Family::Ipv6 => protocol::ICMPV6,
    };
    Fields {
        icmp: Some(u16::from_be_bytes([kind, code])),
        ..ip(family, number)
    }
}

/// A fragment of a UDP packet that is not the first.
pub(super) fn later_fragment(family: Family) -> Fields {
    Fields {
        is_fragment: Some(true),
        ..ip(family, protocol::UDP)
    }
}

/// A packet of neighbor discovery or of a multicast router, from the link.
pub(super) fn of_link(kind: u8, ttl: u8, dst: Ipv6Addr) -> Fields {
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    Fields {
        src: Some(ROUTER.into()),
        dst: Some(dst.into()),
        hop_limit: Some(ttl),
        ..icmp(Family::Ipv6, kind, 0)
    }
}

/// An IGMP query of a multicast router for all groups.
pub(super) fn group_query() -> Fields {
    Fields {
        src: Some(Ipv4Addr::new(192, 0, 2, 254).into()),
        dst: Some(Ipv4Addr::new(224, 0, 0, 1).into()),
        hop_limit: Some(1),
        is_group_query: true,
        ..ip(Family::Ipv4, protocol::IGMP)
    }
}

/// An ARP packet.
pub(super) fn arp() -> Fields {
    frame(ethertype::ARP)
}

fn frame(ethertype: u16) -> Fields {
    Fields {
        dst_mac: 0xffff_ffff_ffff,
        src_mac: 0x0000_5e00_53fe,
        ethertype,
        ..Fields::default()
    }
}

/// A packet between the same ends that nobody needs, of the same protocol: what drops this one, too,
/// does not do so because of what the packet is.
pub(super) fn unneeded(packet: &Fields) -> Fields {
    let Some(family) = packet.family else {
        return anything(packet);
    };
    let other = match packet.protocol {
        Some(protocol::TCP) => tcp(family, FOREIGN, EPHEMERAL, SYN),
        Some(protocol::UDP) => udp(family, FOREIGN, EPHEMERAL),
        Some(protocol::ICMP | protocol::ICMPV6) => icmp(family, EXPERIMENT, 0),
        Some(_) | None => return anything(packet),
    };
    between(packet, other)
}

/// A packet between the same ends of a protocol that nobody has: what passes this one, too, passes
/// everything between them.
pub(super) fn anything(packet: &Fields) -> Fields {
    /// For experiments (IEEE 802).
    const EXPERIMENTAL_TYPE: u16 = 0x88b5;
    match packet.family {
        Some(family) => between(packet, ip(family, EXPERIMENT)),
        None => Fields {
            ethertype: EXPERIMENTAL_TYPE,
            ..packet.clone()
        },
    }
}

/// A packet of the machine to where this one comes from.
pub(super) fn back(packet: Fields) -> Fields {
    Fields {
        src: packet.dst,
        dst: packet.src,
        src_mac: packet.dst_mac,
        dst_mac: packet.src_mac,
        sport: packet.dport,
        dport: packet.sport,
        hop_limit: packet.hop_limit.map(|_| 64),
        ..packet
    }
}

/// A question of a machine without an address to any server of DHCP (RFC 2131, section 4.1).
pub(super) fn dhcp_question() -> Fields {
    Fields {
        src: Some(Ipv4Addr::UNSPECIFIED.into()),
        dst: Some(Ipv4Addr::BROADCAST.into()),
        dst_mac: 0xffff_ffff_ffff,
        hop_limit: Some(64),
        ..udp(Family::Ipv4, 68, 67)
    }
}

/// An ICMP message about a packet, from where the packet comes.
pub(super) fn error_about(packet: &Fields, message: &Fields) -> Fields {
    between(packet, message.clone())
}

/// A later fragment of a packet.
pub(super) fn rest_of(packet: &Fields, family: Family) -> Fields {
    between(packet, later_fragment(family))
}

/// The packet within the machine.
pub(super) fn on_loopback(packet: Fields, family: Family) -> Fields {
    let own: IpAddr = match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    Fields {
        dst_mac: 0,
        src_mac: 0,
        src: Some(own),
        dst: Some(own),
        hop_limit: Some(64),
        ..packet
    }
}

/// A packet with the ends of another.
fn between(ends: &Fields, packet: Fields) -> Fields {
    Fields {
        dst_mac: ends.dst_mac,
        src_mac: ends.src_mac,
        vlan: ends.vlan,
        src: ends.src,
        dst: ends.dst,
        length: ends.length,
        dscp: ends.dscp,
        hop_limit: ends.hop_limit,
        ..packet
    }
}
