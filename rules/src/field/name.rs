//! The table of the match fields: one row per field. Code that is the same for all fields is
//! generated from it.

use firewall_ebpf::field::Field;

use super::{dscp::DSCP, ip_option::IP_OPTION, length::LENGTH, number::Number, ttl::TTL};

/// Calls a macro with the table of the match fields. A row has the condition of a rule on the
/// field, the name of the field, its key in a rule file, its place in
/// [`Matches`](crate::model::Matches), the type there, and its [`Form`].
///
/// Each row follows those that its meaning depends on.
macro_rules! each_field {
    ($then:ident) => {
        $then! {
            /// The receiving interface; of packets out, the outgoing one.
            Interface = "interface", interface: InterfaceMatch, Form::Interface;
            /// The interface on which a packet out was received that is forwarded.
            InInterface = "in_interface", in_interface: InterfaceMatch, Form::InInterface;
            /// Whether a packet out is forwarded, and not sent by the machine itself.
            Forwarded = "forwarded", forwarded: bool, Form::Forwarded;
            /// The mark of a packet out.
            Mark = "mark", mark: RangeSet<u32>, Form::Mark;
            /// The address family.
            Family = "family", family: Family, Form::Family;
            /// The EtherType after all VLAN tags.
            Ethertype = "ethertype", ethertype: RangeSet<u16>, Form::Ethertype;
            /// The outermost VLAN tag.
            Vlan = "vlan", vlan: VlanSet, Form::Vlan;
            /// The source MAC address as its number, at most [`MAX_MAC`](crate::field::MAX_MAC).
            SrcMac = "src_mac", src_mac: RangeSet<u64>, Form::SrcMac;
            /// The destination MAC address, like [`Self::src_mac`].
            DstMac = "dst_mac", dst_mac: RangeSet<u64>, Form::DstMac;
            /// The source address.
            Src = "src", src: Arc<AddressSet>, Form::Src;
            /// The destination address.
            Dst = "dst", dst: Arc<AddressSet>, Form::Dst;
            /// The upper-layer protocol number.
            Proto = "proto", proto: RangeSet<u8>, Form::Proto;
            /// The source port of TCP, UDP, UDP-Lite, SCTP and DCCP.
            Sport = "sport", sport: RangeSet<u16>, Form::Sport;
            /// The destination port of TCP, UDP, UDP-Lite, SCTP and DCCP.
            Dport = "dport", dport: RangeSet<u16>, Form::Dport;
            /// The values of the TCP flags byte (FIN = 1, ..., CWR = 128) that match.
            TcpFlags = "tcp_flags", tcp_flags: RangeSet<u8>, Form::TcpFlags;
            /// The ICMP and ICMPv6 messages that match.
            IcmpType = "icmp_type", icmp: IcmpSet, Form::Icmp;
            /// The length of the IP packet in bytes, its header included; [`u16::MAX`] also stands
            /// for every greater length.
            Length = "length", length: RangeSet<u16>, Form::Length(&LENGTH);
            /// The IPv4 time to live or the IPv6 hop limit.
            Ttl = "ttl", ttl: RangeSet<u8>, Form::Number(&TTL);
            /// The code point for differentiated services, at most
            /// [`MAX_DSCP`](crate::field::MAX_DSCP).
            Dscp = "dscp", dscp: RangeSet<u8>, Form::Number(&DSCP);
            /// The options of which an IPv4 packet has one.
            IpOption = "ip_option", ip_option: RangeSet<u8>, Form::Options(&IP_OPTION);
            /// Whether the IP packet is a fragment.
            Fragment = "fragment", fragment: bool, Form::Fragment;
            /// What an IP packet in is to the flows that are known.
            State = "state", state: StateSet, Form::State;
        }
    };
}
pub(crate) use each_field;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $slot:ident: $type:ty, $form:expr;)*) => {
        /// The name of a match field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FieldName {
            $(
                #[doc = concat!("`", $key, "`")]
                $name,
            )*
        }

        impl FieldName {
            /// Every match field, each after those that its meaning depends on.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The key of the field.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $key,)*
                }
            }

            /// The form of the field.
            #[must_use]
            pub const fn form(self) -> Form {
                match self {
                    $(Self::$name => $form,)*
                }
            }
        }
    };
}
each_field!(names);

/// The kind of values of a field, which determines how they are read and written, and which packets
/// have them.
///
/// A field that is just a number needs no form of its own.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Names of interfaces.
    Interface,
    /// Names of the interfaces on which forwarded packets arrived.
    InInterface,
    /// Whether it is forwarded.
    Forwarded,
    /// Marks.
    Mark,
    /// One of the two families.
    Family,
    /// EtherTypes.
    Ethertype,
    /// VLAN identifiers, and their absence.
    Vlan,
    /// Source MAC addresses.
    SrcMac,
    /// Destination MAC addresses.
    DstMac,
    /// Source addresses.
    Src,
    /// Destination addresses.
    Dst,
    /// Protocols.
    Proto,
    /// Source ports.
    Sport,
    /// Destination ports.
    Dport,
    /// Conditions of TCP flags.
    TcpFlags,
    /// ICMP messages.
    Icmp,
    /// A number that every IP packet has, with a minimum that depends on its headers.
    Length(&'static Number),
    /// A number that every IP packet has, independent of other fields.
    Number(&'static Number),
    /// Numbers, of which an IPv4 packet can have several.
    Options(&'static Number),
    /// Whether it is a fragment.
    Fragment,
    /// States.
    State,
}

impl Form {
    /// Whether only packets out have the field.
    #[must_use]
    pub const fn is_of_out(self) -> bool {
        match self {
            Self::InInterface | Self::Forwarded | Self::Mark => true,
            Self::Interface
            | Self::Ethertype
            | Self::Vlan
            | Self::SrcMac
            | Self::DstMac
            | Self::Family
            | Self::Src
            | Self::Dst
            | Self::Proto
            | Self::Sport
            | Self::Dport
            | Self::TcpFlags
            | Self::Icmp
            | Self::Length(_)
            | Self::Number(_)
            | Self::Options(_)
            | Self::Fragment
            | Self::State => false,
        }
    }

    /// Whether only IP packets have the field.
    #[must_use]
    pub const fn is_of_ip(self) -> bool {
        match self {
            Self::Interface
            | Self::InInterface
            | Self::Forwarded
            | Self::Mark
            | Self::Ethertype
            | Self::Vlan
            | Self::SrcMac
            | Self::DstMac => false,
            Self::Family
            | Self::Src
            | Self::Dst
            | Self::Proto
            | Self::Sport
            | Self::Dport
            | Self::TcpFlags
            | Self::Icmp
            | Self::Length(_)
            | Self::Number(_)
            | Self::Options(_)
            | Self::Fragment
            | Self::State => true,
        }
    }

    /// The narrow field of the image whose keys are made of the values; `None` for addresses and
    /// for what sections are made for.
    pub(crate) const fn key(self) -> Option<Field> {
        match self {
            Self::Family | Self::Src | Self::Dst | Self::State => None,
            Self::Interface => Some(Field::Interface),
            Self::InInterface | Self::Forwarded => Some(Field::InInterface),
            Self::Mark => Some(Field::Mark),
            Self::Ethertype => Some(Field::Ethertype),
            Self::Vlan => Some(Field::Vlan),
            Self::SrcMac => Some(Field::SrcMac),
            Self::DstMac => Some(Field::DstMac),
            Self::Proto | Self::TcpFlags => Some(Field::Protocol),
            Self::Sport => Some(Field::Sport),
            Self::Dport => Some(Field::Dport),
            Self::Icmp => Some(Field::Icmp),
            Self::Length(number) | Self::Number(number) | Self::Options(number) => Some(number.key),
            Self::Fragment => Some(Field::Traffic),
        }
    }
}
