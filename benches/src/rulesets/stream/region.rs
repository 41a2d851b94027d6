//! The packets that a rule matches, as ranges from which packets are drawn.

use std::net::IpAddr;

use crate::{
    packet::{protocol, tcp_flags},
    random::Random,
    rulesets::{
        AddressRange, Family, FlagMatch, PortRange, Prefix, Rule, family::number, ports::has_ports,
    },
    tuple::Tuple,
};

/// The protocols of packets if any protocol matches, weighted by how often they are listed.
const PROTOCOLS: [u8; 10] = [
    protocol::TCP,
    protocol::TCP,
    protocol::TCP,
    protocol::TCP,
    protocol::UDP,
    protocol::UDP,
    protocol::UDP,
    protocol::ICMP,
    protocol::GRE,
    protocol::SCTP,
];

/// The same for packets that must have ports.
const PROTOCOLS_WITH_PORTS: [u8; 8] = [
    protocol::TCP,
    protocol::TCP,
    protocol::TCP,
    protocol::UDP,
    protocol::UDP,
    protocol::SCTP,
    protocol::DCCP,
    protocol::UDP_LITE,
];

/// The TCP flags of packets if any flags match.
const FLAGS: [u8; 6] = [
    tcp_flags::SYN,
    tcp_flags::SYN | tcp_flags::ACK,
    tcp_flags::ACK,
    tcp_flags::ACK | tcp_flags::PSH,
    tcp_flags::ACK | tcp_flags::FIN,
    tcp_flags::RST,
];

/// Packets that are inside ranges in every field.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    src: AddressRange,
    dst: AddressRange,
    protocol: Option<u8>,
    sport: PortRange,
    dport: PortRange,
    tcp_flags: FlagMatch,
}

/// The field in which a packet is just outside a region.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Src,
    Dst,
    Protocol,
    Sport,
    Dport,
    Flags,
}

impl Region {
    /// The packets that a rule matches.
    #[must_use]
    pub fn of_rule(rule: &Rule) -> Self {
        let Rule {
            src,
            dst,
            protocol,
            sport,
            dport,
            tcp_flags,
            verdict: _,
        } = *rule;
        Self {
            src: src.into(),
            dst: dst.into(),
            protocol,
            sport,
            dport,
            tcp_flags,
        }
    }

    /// All packets from these addresses.
    #[must_use]
    pub fn of_source(src: AddressRange) -> Self {
        Self {
            src,
            dst: Prefix::any(src.family()).into(),
            protocol: None,
            sport: PortRange::ANY,
            dport: PortRange::ANY,
            tcp_flags: FlagMatch::ANY,
        }
    }

    /// All packets of a family.
    #[must_use]
    pub fn everything(family: Family) -> Self {
        Self::of_source(Prefix::any(family).into())
    }

    /// The family of the packets.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.src.family()
    }

    /// A packet inside the region.
    #[must_use]
    pub fn inside(&self, random: &mut Random) -> Tuple {
        let protocol = self.protocol(random);
        self.settled(Tuple {
            src: address(self.src, random),
            dst: address(self.dst, random),
            protocol,
            sport: port(self.sport, random),
            dport: port(self.dport, random),
            tcp_flags: self.flags(random),
        })
    }

    /// A packet in a corner of the region, or, in half of the cases, just outside in one field.
    #[must_use]
    pub fn corner(&self, random: &mut Random) -> Tuple {
        const ANY: [Beside; 12] = [
            Beside::Nothing,
            Beside::Nothing,
            Beside::Nothing,
            Beside::Nothing,
            Beside::Nothing,
            Beside::Nothing,
            Beside::Src,
            Beside::Dst,
            Beside::Protocol,
            Beside::Sport,
            Beside::Dport,
            Beside::Flags,
        ];
        let beside = pick(&ANY, random);
        let is_last = random.number();
        let is_last = |bit: u32| is_last >> bit & 1 == 1;
        let protocol = self.protocol(random);
        let away = if is_last(4) { 1 } else { u8::MAX };
        let flags = self.flags(random);
        // One of the compared bits, if there is one.
        let bit = 1 << random.below(8) & self.tcp_flags.mask();
        self.settled(Tuple {
            src: end(self.src, is_last(0), beside == Beside::Src),
            dst: end(self.dst, is_last(1), beside == Beside::Dst),
            protocol: if beside == Beside::Protocol {
                protocol.wrapping_add(away)
            } else {
                protocol
            },
            sport: port_end(self.sport, is_last(2), beside == Beside::Sport),
            dport: port_end(self.dport, is_last(3), beside == Beside::Dport),
            tcp_flags: if beside == Beside::Flags {
                flags ^ bit
            } else {
                flags
            },
        })
    }

    fn protocol(&self, random: &mut Random) -> u8 {
        if let Some(number) = self.protocol {
            number
        } else if !self.tcp_flags.is_any() {
            protocol::TCP
        } else if self.sport.is_any() && self.dport.is_any() {
            pick(&PROTOCOLS, random)
        } else {
            pick(&PROTOCOLS_WITH_PORTS, random)
        }
    }

    fn flags(&self, random: &mut Random) -> u8 {
        let mask = self.tcp_flags.mask();
        self.tcp_flags.set() | pick(&FLAGS, random) & !mask
    }

    /// The packet without fields that its protocol does not have, and with a valid protocol: in
    /// IPv6, some numbers are those of extension headers.
    fn settled(&self, tuple: Tuple) -> Tuple {
        let number = match (self.family(), tuple.protocol) {
            (
                Family::V6,
                protocol::HOP_BY_HOP
                | protocol::ROUTING
                | protocol::FRAGMENT
                | protocol::AUTHENTICATION
                | protocol::DESTINATION,
            ) => protocol::GRE,
            (Family::V6, protocol::ICMP) if self.protocol.is_none() => protocol::ICMPV6,
            (Family::V4 | Family::V6, number) => number,
        };
        let with_ports = |port| if has_ports(number) { port } else { 0 };
        Tuple {
            protocol: number,
            sport: with_ports(tuple.sport),
            dport: with_ports(tuple.dport),
            tcp_flags: if number == protocol::TCP {
                tuple.tcp_flags
            } else {
                0
            },
            ..tuple
        }
    }
}

fn pick<T: Copy, const N: usize>(values: &[T; N], random: &mut Random) -> T {
    // Below the length.
    values[random.below(N as u64) as usize]
}

fn address(range: AddressRange, random: &mut Random) -> IpAddr {
    let (first, last) = (number(range.first()), number(range.last()));
    let any = u128::from(random.number()) << 64 | u128::from(random.number());
    // If there is no width, all numbers are inside.
    let inside = match (last - first).checked_add(1) {
        Some(width) => first + any % width,
        None => any,
    };
    range.family().address(inside)
}

fn end(range: AddressRange, is_last: bool, is_beside: bool) -> IpAddr {
    let (first, last) = (number(range.first()), number(range.last()));
    let beside = u128::from(is_beside);
    range.family().address(if is_last {
        last.wrapping_add(beside)
    } else {
        first.wrapping_sub(beside)
    })
}

fn port(range: PortRange, random: &mut Random) -> u16 {
    let width = u64::from(range.last() - range.first()) + 1;
    range.first() + random.below(width) as u16
}

const fn port_end(range: PortRange, is_last: bool, is_beside: bool) -> u16 {
    let beside = is_beside as u16;
    if is_last {
        range.last().wrapping_add(beside)
    } else {
        range.first().wrapping_sub(beside)
    }
}
