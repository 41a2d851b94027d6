//! Witnesses: packets that prove a claim, given by their fields.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    axis::{ABSENT, Axis, FIRST, GROUP_QUERY, LATER, NetworkProtocol, Packets, WHOLE},
    interfaces::{InterfaceClasses, Interfaces},
    region::Point,
    states::{self, OF_FLOWS, of_number},
};
use crate::{
    context::Context,
    evaluator::{Fields, decode},
    field::{Family, Form, Mac, State, StateSet},
    model::Direction,
};

/// A possible packet, reduced to the fields that rules can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its direction, its interfaces, its mark and its state.
    pub context: Context<String>,
    /// The source MAC address.
    pub src_mac: Mac,
    /// The destination MAC address.
    pub dst_mac: Mac,
    /// The identifier in the outermost VLAN tag.
    pub vlan: Option<u16>,
    /// The EtherType after all VLAN tags.
    pub ethertype: u16,
    /// What an IP packet has.
    pub ip: Option<WitnessIp>,
}

/// The fields of an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessIp {
    /// The source address.
    pub src: IpAddr,
    /// The destination address, of the same family.
    pub dst: IpAddr,
    /// The upper-layer protocol.
    pub protocol: u8,
    /// The bytes of the packet, its header included.
    pub length: u16,
    /// The time to live or the hop limit.
    pub ttl: u8,
    /// The code point for differentiated services.
    pub dscp: u8,
    /// Whether it is a fragment, and which.
    pub fragment: WitnessFragment,
    /// The options of IPv4, ascending, each once.
    pub options: Vec<u8>,
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
    /// The byte of TCP flags.
    pub tcp_flags: Option<u8>,
    /// Type and code of the ICMP message.
    pub icmp: Option<(u8, u8)>,
    /// Whether it is an IGMP query of a multicast router to its own link.
    pub is_group_query: bool,
}

impl WitnessIp {
    pub(super) const fn family(&self) -> Family {
        match self.src {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

/// The source MAC address of a packet for which it does not matter.
pub(super) const USUAL_SRC_MAC: Mac = Mac(0x0000_5e00_53fe);

/// The destination MAC address of a packet for which it does not matter.
pub(super) const USUAL_DST_MAC: Mac = Mac(0x0000_5e00_53ff);

/// The part of an IP packet that a frame contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessFragment {
    /// The whole packet.
    Whole,
    /// The first fragment, with all headers.
    First,
    /// A later fragment, without the L4 header.
    Later,
}

impl Witness {
    /// The packet with these values, on interfaces of these classes.
    pub(super) fn new(packets: Packets, point: &Point, interfaces: &Interfaces) -> Self {
        let at = |axis: Axis| point[axis as usize];
        // The kinds bound each value by the type of its field.
        let half = |axis: Axis| at(axis) as u16;
        let byte = |axis: Axis| at(axis) as u8;
        let has = |axis: Axis| at(axis) < ABSENT;
        let address = |axis: Axis| -> IpAddr {
            match packets.network {
                NetworkProtocol::Ipv4 => Ipv4Addr::from(at(axis) as u32).into(),
                NetworkProtocol::Ipv6 | NetworkProtocol::Other => Ipv6Addr::from(at(axis)).into(),
            }
        };
        let ip = packets.family().map(|_| WitnessIp {
            src: address(Axis::Src),
            dst: address(Axis::Dst),
            protocol: byte(Axis::Proto),
            length: half(Axis::Length),
            ttl: byte(Axis::Ttl),
            dscp: byte(Axis::Dscp),
            fragment: match at(Axis::Fragment) {
                FIRST => WitnessFragment::First,
                LATER => WitnessFragment::Later,
                _ => WitnessFragment::Whole,
            },
            options: interfaces.options.options(at(Axis::IpOption) as u64),
            ports: has(Axis::Sport).then(|| (half(Axis::Sport), half(Axis::Dport))),
            tcp_flags: has(Axis::TcpFlags).then(|| byte(Axis::TcpFlags)),
            icmp: has(Axis::IcmpType).then(|| half(Axis::IcmpType).to_be_bytes().into()),
            is_group_query: at(Axis::IcmpType) == GROUP_QUERY,
        });
        let name = |of: &InterfaceClasses, axis: Axis| {
            of.name(at(axis) as usize).unwrap_or_default().to_owned()
        };
        let context = Context {
            direction: packets.direction,
            interface: name(&interfaces.attached, Axis::Interface),
            in_interface: has(Axis::InInterface)
                .then(|| name(&interfaces.origins, Axis::InInterface)),
            mark: if has(Axis::Mark) {
                at(Axis::Mark) as u32
            } else {
                0
            },
            state: of_number(at(Axis::State)).unwrap_or_default(),
        };
        Self {
            context,
            src_mac: Mac(at(Axis::SrcMac) as u64),
            dst_mac: Mac(at(Axis::DstMac) as u64),
            vlan: has(Axis::Vlan).then(|| half(Axis::Vlan)),
            ethertype: half(Axis::Ethertype),
            ip,
        }
    }

    /// The packet that the evaluator decodes from a frame; `None` if it cannot decode it.
    pub(super) fn of_frame(frame: &[u8], context: Context<String>) -> Option<Self> {
        let fields = decode(frame).ok()?;
        let has_upper = fields.sport.is_some() || fields.icmp.is_some();
        let ip = fields.src.zip(fields.dst).map(|(src, dst)| WitnessIp {
            src,
            dst,
            protocol: fields.protocol.unwrap_or_default(),
            length: u16::try_from(fields.length.unwrap_or_default()).unwrap_or(u16::MAX),
            ttl: fields.hop_limit.unwrap_or_default(),
            dscp: fields.dscp.unwrap_or_default(),
            fragment: match (fields.is_fragment, has_upper) {
                (Some(true), true) => WitnessFragment::First,
                (Some(true), false) => WitnessFragment::Later,
                (Some(false) | None, _) => WitnessFragment::Whole,
            },
            options: fields.ip_options,
            ports: fields.sport.zip(fields.dport),
            tcp_flags: fields.tcp_flags,
            icmp: fields.icmp.map(|message| message.to_be_bytes().into()),
            is_group_query: fields.is_group_query,
        });
        Some(Self {
            context,
            src_mac: Mac(fields.src_mac),
            dst_mac: Mac(fields.dst_mac),
            vlan: fields.vlan,
            ethertype: fields.ethertype,
            ip,
        })
    }

    /// The state of an IP packet in.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        let has_state = self.ip.is_some() && self.context.direction == Direction::In;
        has_state.then_some(self.context.state)
    }

    /// The context in the form that the evaluator takes.
    #[must_use]
    pub fn named(&self) -> Context<Option<&str>> {
        self.context.as_ref().map(|name| Some(name.as_str()))
    }

    /// The fields in the form that the evaluator takes.
    #[must_use]
    pub fn fields(&self) -> Fields {
        let of_frame = Fields {
            dst_mac: self.dst_mac.0,
            src_mac: self.src_mac.0,
            vlan: self.vlan,
            ethertype: self.ethertype,
            ..Fields::default()
        };
        let Some(ip) = &self.ip else {
            return of_frame;
        };
        Fields {
            length: Some(ip.length.into()),
            dscp: Some(ip.dscp),
            family: Some(ip.family()),
            src: Some(ip.src),
            dst: Some(ip.dst),
            protocol: Some(ip.protocol),
            sport: ip.ports.map(|(sport, _)| sport),
            dport: ip.ports.map(|(_, dport)| dport),
            tcp_flags: ip.tcp_flags,
            hop_limit: Some(ip.ttl),
            is_fragment: Some(ip.fragment != WitnessFragment::Whole),
            ip_options: ip.options.clone(),
            icmp: ip.icmp.map(|(kind, code)| u16::from_be_bytes([kind, code])),
            is_group_query: ip.is_group_query,
            ..of_frame
        }
    }
}

/// The values of a packet on the axes; `None` for a packet that is not of these [`Packets`], or on
/// an interface of no class.
pub(super) fn point(
    fields: &Fields,
    context: &Context<Option<&str>>,
    interfaces: &Interfaces,
    packets: Packets,
) -> Option<Point> {
    if fields.family != packets.family() || context.direction != packets.direction {
        return None;
    }
    let interface = interfaces.attached.class(context.interface?)?;
    let origin = match context.in_interface {
        Some(name) => interfaces.origins.class(name?)? as u128,
        None => ABSENT,
    };
    let mark = match context.direction {
        Direction::In => ABSENT,
        Direction::Out => context.mark.into(),
    };
    let state = if interfaces.asks_for_states(context.direction) {
        context.state
    } else {
        State::New
    };
    let state = u128::from(state.number());
    let address = |address: Option<IpAddr>| match address {
        Some(IpAddr::V4(address)) => u32::from(address).into(),
        Some(IpAddr::V6(address)) => u128::from(address),
        None => 0,
    };
    let has_upper = fields.sport.is_some() || fields.icmp.is_some();
    Some(Axis::ALL.map(|axis| {
        match axis.form() {
            Form::Interface => interface as u128,
            Form::InInterface => origin,
            Form::Mark => mark,
            Form::Family | Form::Forwarded => 0,
            Form::Ethertype => fields.ethertype.into(),
            Form::Vlan => fields.vlan.map_or(ABSENT, u128::from),
            Form::SrcMac => fields.src_mac.into(),
            Form::DstMac => fields.dst_mac.into(),
            Form::Length(number) => fields
                .length
                .map_or(ABSENT, |length| length.min(number.max.into()).into()),
            Form::Number(_) => fields.number(axis.field()).map_or(ABSENT, u128::from),
            Form::Options(_) => interfaces.options.bits_of(&fields.ip_options).into(),
            Form::Src => address(fields.src),
            Form::Dst => address(fields.dst),
            Form::Proto => fields.protocol.map_or(ABSENT, u128::from),
            Form::Sport => fields.sport.map_or(ABSENT, u128::from),
            Form::Dport => fields.dport.map_or(ABSENT, u128::from),
            Form::TcpFlags => fields.tcp_flags.map_or(ABSENT, u128::from),
            Form::Icmp if fields.is_group_query => GROUP_QUERY,
            Form::Icmp => fields.icmp.map_or(ABSENT, u128::from),
            // Rules can only distinguish fragments by the headers that they contain.
            Form::Fragment => match (fields.is_fragment, has_upper) {
                (None, _) => ABSENT,
                (Some(false), _) => WHOLE,
                (Some(true), true) => FIRST,
                (Some(true), false) => LATER,
            },
            Form::State if fields.family.is_none() => ABSENT,
            Form::State => state,
        }
    }))
}

/// The states that a packet with these fields can have, whatever flows are known; none if it is not
/// IP.
#[must_use]
pub fn possible_states(fields: &Fields) -> StateSet {
    let Some(family) = fields.family else {
        return StateSet::default();
    };
    if let Some(flags) = fields.tcp_flags {
        return states::of_tcp(flags);
    }
    if let Some(message) = fields.icmp {
        return states::of_icmp(family, message.to_be_bytes()[0]);
    }
    let is_fragment = fields.is_fragment == Some(true);
    match fields.protocol {
        Some(number) if is_fragment && fields.sport.is_none() => {
            states::of_later_fragments(family, number)
        }
        Some(_) | None => OF_FLOWS,
    }
}
