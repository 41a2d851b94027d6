//! The axes along which packets differ, with values as numbers.

use std::collections::BTreeMap;

use firewall_ebpf::parse::{ethertype, protocol};

use super::{
    interfaces::Interfaces,
    states::{self, OF_FLOWS},
    values::Values,
};
use crate::{
    field::{
        Family, FieldName, Form, MAX_MAC, MAX_VLAN, OptionGroups, State, StateSet, each_field,
        ip_option_bytes,
    },
    model::{Direction, Ruleset},
};

macro_rules! axes {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $slot:ident: $type:ty, $form:expr;)*) => {
        /// An axis along which packets differ: a match field.
        ///
        /// Interfaces are given by their classes; the receiving interface of packets that the machine
        /// sends is [`ABSENT`], and says what `forwarded` does. An ICMP message is
        /// `type << 8 | code`, the length 65,535 stands for itself and all greater lengths, IPv4
        /// options are the bits of their groups, fragments are one of [`WHOLE`], [`FIRST`] and
        /// [`LATER`], and a state is its number. Only packets of the same family are compared.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Axis {
            $(
                #[doc = concat!("`", $key, "`")]
                $name,
            )*
        }

        /// The number of axes.
        pub(super) const AXES: usize = Axis::ALL.len();

        impl Axis {
            /// Every axis, in the order in which a region is described.
            pub(super) const ALL: [Self; [$($key),*].len()] = [$(Self::$name),*];

            /// The field.
            pub(super) const fn field(self) -> FieldName {
                match self {
                    $(Self::$name => FieldName::$name,)*
                }
            }
        }
    };
}
each_field!(axes);

impl Axis {
    /// The key of the field in a rule.
    pub(super) const fn name(self) -> &'static str {
        self.field().as_str()
    }

    /// The form of the field.
    pub(super) const fn form(self) -> Form {
        self.field().form()
    }
}

/// The value of packets that lack the field; above all values of fields that can be lacking.
pub(super) const ABSENT: u128 = 1 << 64;

/// The value of IGMP queries of a multicast router to its own link on the axis of ICMP messages,
/// which rules cannot name.
pub(super) const GROUP_QUERY: u128 = ABSENT + 1;

/// No fragment.
pub(super) const WHOLE: u128 = 0;
/// A first fragment, which contains all headers.
pub(super) const FIRST: u128 = 1;
/// A later fragment, which contains no L4 header.
pub(super) const LATER: u128 = 2;

/// The packets of one family and direction, for which rules are compiled together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packets {
    /// The direction.
    pub direction: Direction,
    /// The family.
    pub network: NetworkProtocol,
}

/// A family of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkProtocol {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Every other EtherType.
    Other,
}

impl Packets {
    /// The packets that rule sets filter: packets out if one of the rule sets has anything to say
    /// about them.
    pub(super) fn of(rulesets: &[&Ruleset]) -> impl Iterator<Item = Self> + use<> {
        let has_egress = rulesets.iter().any(|ruleset| ruleset.has_egress());
        let directions = Direction::ALL.into_iter();
        let directions = directions.filter(move |direction| match direction {
            Direction::In => true,
            Direction::Out => has_egress,
        });
        directions
            .flat_map(|direction| NetworkProtocol::ALL.map(|network| Self { direction, network }))
    }

    /// The name used in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.direction, self.network) {
            (Direction::In, NetworkProtocol::Ipv4) => "IPv4",
            (Direction::In, NetworkProtocol::Ipv6) => "IPv6",
            (Direction::In, NetworkProtocol::Other) => "other EtherTypes",
            (Direction::Out, NetworkProtocol::Ipv4) => "outgoing IPv4",
            (Direction::Out, NetworkProtocol::Ipv6) => "outgoing IPv6",
            (Direction::Out, NetworkProtocol::Other) => "outgoing other EtherTypes",
        }
    }

    /// The address family.
    pub(super) const fn family(self) -> Option<Family> {
        match self.network {
            NetworkProtocol::Ipv4 => Some(Family::Ipv4),
            NetworkProtocol::Ipv6 => Some(Family::Ipv6),
            NetworkProtocol::Other => None,
        }
    }
}

impl NetworkProtocol {
    const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Other];
}

/// The values that packets with one kind of L4 header can have on each axis: within a kind, every
/// combination of values is a possible packet.
pub(super) type Kind = [Values; AXES];

/// The kinds of packets, which are disjoint and together cover all packets. The most familiar kinds
/// come first.
pub(super) fn kinds(packets: Packets, interfaces: &Interfaces) -> Vec<Kind> {
    let Some(family) = packets.family() else {
        return vec![kind(|axis| match axis.form() {
            Form::Ethertype => other_ethertypes(),
            Form::Family | Form::Src | Form::Dst | Form::Options(_) => only(0),
            Form::Proto
            | Form::Sport
            | Form::Dport
            | Form::TcpFlags
            | Form::Icmp
            | Form::Length(_)
            | Form::Number(_)
            | Form::Fragment
            | Form::State => only(ABSENT),
            Form::Interface
            | Form::InInterface
            | Form::Forwarded
            | Form::Mark
            | Form::Vlan
            | Form::SrcMac
            | Form::DstMac => link(axis, packets.direction, interfaces),
        })];
    };
    let uppers = UpperKind::ALL.into_iter();
    let forms = uppers.flat_map(|upper| upper.fragments(family).map(move |part| (upper, part)));
    let headers = match family {
        Family::Ipv4 => option_headers(&interfaces.options),
        Family::Ipv6 => vec![(0, only(0))],
    };
    let headers = &headers;
    let asks = interfaces.asks_for_states(packets.direction);
    forms
        .flat_map(|(upper, part)| headers.iter().map(move |header| (upper, part, header)))
        .flat_map(|(upper, part, header)| {
            let parts = upper.by_states(family, asks).into_iter();
            parts.map(move |with_states| (upper, part, header, with_states))
        })
        .map(
            |(upper, fragment, (options_length, options), with_states)| {
                let WithStates {
                    protocols,
                    messages,
                    states,
                } = with_states;
                kind(|axis| match axis.form() {
                    Form::Family => only(0),
                    Form::Ethertype => only(match family {
                        Family::Ipv4 => ethertype::IPV4.into(),
                        Family::Ipv6 => ethertype::IPV6.into(),
                    }),
                    Form::Dst if upper == UpperKind::GroupQuery => {
                        Values::from_ranges(vec![(0xe000_0000, 0xefff_ffff)])
                    }
                    Form::Src | Form::Dst => match family {
                        Family::Ipv4 => through(u32::MAX.into()),
                        Family::Ipv6 => through(u128::MAX),
                    },
                    Form::Proto => protocols.clone(),
                    Form::Sport | Form::Dport => having(upper.has_ports(), 0xffff),
                    Form::TcpFlags if upper == UpperKind::Tcp => messages.clone(),
                    Form::TcpFlags => only(ABSENT),
                    Form::Icmp if upper == UpperKind::GroupQuery => only(GROUP_QUERY),
                    Form::Icmp if upper == UpperKind::Icmp => messages.clone(),
                    Form::Icmp => only(ABSENT),
                    Form::Length(number) => {
                        let least = upper.least_length(family, fragment) + options_length;
                        Values::from_ranges(vec![(least, number.max.into())])
                    }
                    Form::Number(_) if upper == UpperKind::GroupQuery && axis == Axis::Ttl => {
                        only(1)
                    }
                    Form::Number(number) => through(number.max.into()),
                    Form::Options(_) => options.clone(),
                    Form::Fragment => Values::from_ranges(vec![fragment]),
                    Form::State => states.clone(),
                    Form::Interface
                    | Form::InInterface
                    | Form::Forwarded
                    | Form::Mark
                    | Form::Vlan
                    | Form::SrcMac
                    | Form::DstMac => link(axis, packets.direction, interfaces),
                })
            },
        )
        .collect()
}

/// The bytes that sets of groups of options need in a header, the fewest first, and the sets that
/// need them.
fn option_headers(groups: &OptionGroups) -> Vec<(u128, Values)> {
    let mut headers: BTreeMap<usize, Vec<(u128, u128)>> = BTreeMap::new();
    for bits in groups.all() {
        let length = ip_option_bytes(&groups.options(bits)).len();
        let sets = headers.entry(length).or_default();
        sets.push((bits.into(), bits.into()));
    }
    let headers = headers.into_iter();
    headers
        .map(|(length, sets)| (length as u128, Values::from_ranges(sets)))
        .collect()
}

/// The values that any frame of a direction can have on an axis of the link layer, or on one that no
/// frame has the value of.
fn link(axis: Axis, direction: Direction, interfaces: &Interfaces) -> Values {
    let is_out = direction == Direction::Out;
    if axis == Axis::Interface {
        below(interfaces.attached.len())
    } else if axis == Axis::InInterface {
        let mut origins = vec![(ABSENT, ABSENT)];
        if is_out {
            origins.extend_from_slice(below(interfaces.origins.len()).ranges());
        }
        Values::from_ranges(origins)
    } else if axis == Axis::Forwarded {
        // That a packet is forwarded follows from the interface on which it arrived.
        only(0)
    } else if axis == Axis::Mark {
        having(is_out, u32::MAX.into())
    } else if axis == Axis::Vlan {
        Values::from_ranges(vec![(0, MAX_VLAN.into()), (ABSENT, ABSENT)])
    } else {
        through(MAX_MAC.into())
    }
}

fn kind(values: impl Fn(Axis) -> Values) -> Kind {
    Axis::ALL.map(values)
}

/// Packets that can have the same states.
struct WithStates {
    protocols: Values,
    messages: Values,
    states: Values,
}

/// What follows the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpperKind {
    /// A TCP header.
    Tcp,
    /// A header of UDP or UDP-Lite.
    Datagram,
    /// A header of SCTP or DCCP.
    Stream,
    /// The ICMP header of the family.
    Icmp,
    /// A protocol whose header is not parsed.
    Bare,
    /// The payload of a later fragment.
    Later,
    /// An IGMP query of a multicast router to its own link.
    GroupQuery,
}

impl UpperKind {
    const ALL: [Self; 7] = [
        Self::Tcp,
        Self::Datagram,
        Self::Stream,
        Self::Icmp,
        Self::Bare,
        Self::Later,
        Self::GroupQuery,
    ];

    const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Datagram | Self::Stream)
    }

    /// The groups of values of [`Axis::Fragment`] that do not differ on other axes: in IPv6, only a
    /// fragment has the fragment header.
    fn fragments(self, family: Family) -> impl Iterator<Item = (u128, u128)> {
        let parts = match (self, family) {
            (Self::Later, _) => [Some((LATER, LATER)), None],
            (Self::GroupQuery, Family::Ipv4) => [Some((WHOLE, WHOLE)), None],
            (Self::GroupQuery, Family::Ipv6) => [None, None],
            (_, Family::Ipv4) => [Some((WHOLE, FIRST)), None],
            (_, Family::Ipv6) => [Some((WHOLE, WHOLE)), Some((FIRST, FIRST))],
        };
        parts.into_iter().flatten()
    }

    /// The total length of the headers in bytes.
    const fn least_length(self, family: Family, fragment: (u128, u128)) -> u128 {
        let header = match self {
            Self::Tcp => 20,
            Self::Datagram | Self::GroupQuery => 8,
            Self::Stream => 12,
            Self::Icmp => 4,
            Self::Bare | Self::Later => 0,
        };
        header
            + match (family, fragment) {
                (Family::Ipv4, _) => 20,
                (Family::Ipv6, (WHOLE, _)) => 40,
                (Family::Ipv6, _) => 40 + 8,
            }
    }

    /// The values of protocols, and of TCP flags or ICMP messages, divided by the states that packets with them can
    /// have; if no rule asks for states, they are all in one.
    fn by_states(self, family: Family, asks: bool) -> Vec<WithStates> {
        let protocols = self.protocols(family);
        let with = |(messages, states)| WithStates {
            protocols: protocols.clone(),
            messages,
            states: states::numbers(states),
        };
        if !asks {
            let all = if self == Self::Tcp { 0xff } else { 0xffff };
            return vec![with((through(all), StateSet::default().with(State::New)))];
        }
        let parts = match self {
            Self::Tcp => states::divided(0xff, |flags| states::of_tcp(flags as u8)),
            Self::Icmp => states::divided(0xffff, |message| {
                states::of_icmp(family, message.to_be_bytes()[0])
            }),
            Self::Later => {
                let of_number = |number| states::of_later_fragments(family, number as u8);
                let parts = states::divided(0xff, of_number).into_iter();
                let parts = parts.map(|(protocols, states)| WithStates {
                    protocols,
                    messages: only(ABSENT),
                    states: states::numbers(states),
                });
                return parts.collect();
            }
            Self::Datagram | Self::Stream | Self::Bare | Self::GroupQuery => {
                vec![(only(ABSENT), OF_FLOWS)]
            }
        };
        parts.into_iter().map(with).collect()
    }

    /// The protocol numbers that can announce it.
    fn protocols(self, family: Family) -> Values {
        let fits = |number: u8| match self {
            Self::Tcp => number == protocol::TCP,
            Self::Datagram => matches!(number, protocol::UDP | protocol::UDPLITE),
            Self::Stream => matches!(number, protocol::SCTP | protocol::DCCP),
            Self::Icmp => number == icmp(family),
            Self::Bare => is_bare(family, number),
            Self::Later => true,
            Self::GroupQuery => number == protocol::IGMP,
        };
        let numbers = (0..=u8::MAX).filter(|number| fits(*number));
        Values::from_ranges(numbers.map(|n| (n.into(), n.into())).collect())
    }
}

/// Whether the header of a protocol is not parsed.
const fn is_bare(family: Family, number: u8) -> bool {
    number != icmp(family)
        && !protocol::has_ports(number)
        // The last extension header names the protocol that follows.
        && !(matches!(family, Family::Ipv6) && is_extension(number))
}

/// The number of the ICMP protocol of a family.
const fn icmp(family: Family) -> u8 {
    match family {
        Family::Ipv4 => protocol::ICMP,
        Family::Ipv6 => protocol::ICMPV6,
    }
}

/// Whether parsing of an IPv6 packet continues after a header with this number.
const fn is_extension(number: u8) -> bool {
    matches!(number, 0 | 43 | 44 | 51 | 60)
}

fn other_ethertypes() -> Values {
    let read = [0x0800, 0x8100, 0x86dd, 0x88a8, 0x9100].map(|ethertype| (ethertype, ethertype));
    super::values::without(&through(0xffff), &Values::from_ranges(read.to_vec()))
}

fn having(has: bool, last: u128) -> Values {
    if has { through(last) } else { only(ABSENT) }
}

fn only(value: u128) -> Values {
    Values::from_ranges(vec![(value, value)])
}

fn through(last: u128) -> Values {
    Values::from_ranges(vec![(0, last)])
}

pub(super) fn below(count: usize) -> Values {
    let last = (count as u128).checked_sub(1);
    last.map_or_else(Values::empty, through)
}
