//! The narrow fields that classes are made of, and the keys by which an image knows their values.
//!
//! The parser makes these keys and the image is indexed by them. This module knows neither.

/// The number of narrow fields.
pub const FIELDS: usize = 15;

/// A narrow field, and its place among the steps of a section.
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The protocol number, or [`WITH_FLAGS`] and the TCP flags, or [`NO_PROTOCOL`].
    Protocol = 0,
    /// The source port.
    Sport = 1,
    /// The destination port.
    Dport = 2,
    /// The ICMP message, `type << 8 | code`.
    Icmp = 3,
    /// The index of the receiving interface, of packets out that of the outgoing one, in the upper
    /// 32 bits of the key.
    Interface = 4,
    /// The source MAC address, in the upper 48 bits of the key.
    SrcMac = 5,
    /// The destination MAC address, likewise.
    DstMac = 6,
    /// The identifier in the outermost VLAN tag, or [`UNTAGGED`].
    Vlan = 7,
    /// The EtherType after all VLAN tags.
    Ethertype = 8,
    /// The length of the IP packet, at most 65,535.
    Length = 9,
    /// The IPv4 time to live or the IPv6 hop limit.
    Ttl = 10,
    /// The code point for differentiated services, and [`FRAGMENT`].
    Traffic = 11,
    /// The groups of the IPv4 options that the packet has, a bit for each.
    Options = 12,
    /// The index of the interface on which a packet out was received, in the upper 32 bits of the
    /// key; 0 if the machine sends it. Packets in have no such field.
    InInterface = 13,
    /// The mark of a packet out, in the upper 32 bits of the key. Packets in have no such field.
    Mark = 14,
}

impl Field {
    /// Every field, in the order of the steps: the longest searches first, where the verifier has
    /// the fewest paths.
    pub const ALL: [Self; FIELDS] = [
        Self::Options,
        Self::SrcMac,
        Self::DstMac,
        Self::InInterface,
        Self::Mark,
        Self::Protocol,
        Self::Sport,
        Self::Dport,
        Self::Icmp,
        Self::Interface,
        Self::Vlan,
        Self::Ethertype,
        Self::Length,
        Self::Ttl,
        Self::Traffic,
    ];

    /// What its values are.
    #[must_use]
    pub const fn values(self) -> Values {
        match self {
            Self::Protocol => Values::Protocols,
            Self::Sport
            | Self::Dport
            | Self::Icmp
            | Self::Vlan
            | Self::Ethertype
            | Self::Length => Values::Halves,
            Self::Interface | Self::InInterface | Self::Mark => Values::Indexes,
            Self::SrcMac | Self::DstMac => Values::Macs,
            Self::Ttl => Values::Below(TTLS),
            Self::Traffic => Values::Below(TRAFFICS),
            Self::Options => Values::OptionGroups,
        }
    }
}

/// What the values of a narrow field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Protocols and flags, up to [`NO_PROTOCOL`].
    Protocols,
    /// Numbers below this one, of which every packet of the section has one.
    Below(u32),
    /// Numbers of 16 bits, which packets may lack.
    Halves,
    /// Indexes of interfaces, and marks, in the upper 32 bits.
    Indexes,
    /// MAC addresses in the upper 48 bits.
    Macs,
    /// Sets of at most [`OPTION_GROUPS`] groups of IPv4 options, a bit for each.
    OptionGroups,
}

/// Some of the fields: bit `f` stands for field `f`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u32);

impl FieldSet {
    /// Those that few rules name: [`Field::SrcMac`] and those after it. Without the bits above all
    /// fields, or else the test would be a comparison, from which the verifier knows the outcome of
    /// the next one and keeps the paths apart until there.
    const DETAILS: u32 = (1 << FIELDS as u32) - (1 << Field::SrcMac as u32);

    /// The fields in a word.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, field: Field) -> Self {
        Self(self.0 | 1 << field as u32)
    }

    /// Whether the field is one of them.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, field: Field) -> bool {
        self.0 & (1 << field as u32) != 0
    }

    /// Whether any field that few rules name is one of them.
    #[must_use]
    #[inline(always)]
    pub const fn has_details(self) -> bool {
        self.0 & Self::DETAILS != 0
    }
}

/// [`Field::Protocol`]: the bit of TCP packets whose flags are known; the flags are the low byte.
pub const WITH_FLAGS: u32 = 1 << 8;
/// [`Field::Protocol`]: the packet is not IP.
pub const NO_PROTOCOL: u32 = 1 << 9;

/// [`Field::Vlan`]: the frame has no tag. All identifiers are smaller.
pub const UNTAGGED: u16 = 1 << 12;
/// [`Field::Traffic`]: the bit of fragments, above those of the code point.
pub const FRAGMENT: u32 = 1 << 6;
/// The number of values of [`Field::Ttl`].
pub const TTLS: u32 = 1 << 8;
/// The maximum number of groups of [`Field::Options`].
pub const OPTION_GROUPS: u32 = 8;
/// The number of values of [`Field::Traffic`].
pub const TRAFFICS: u32 = FRAGMENT << 1;
