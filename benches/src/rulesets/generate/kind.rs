//! The kinds of filters that generated rule sets imitate, and their parameters.

use super::{
    choice::Weights,
    upper::{PortPair, UpperProfile},
};
use crate::{packet::protocol, random::Random, rulesets::Family};

/// A kind of filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilterKind {
    /// An access control list of a router: both sides mostly single hosts, one service each.
    Acl,
    /// A firewall at the edge of a site: the outer side mostly open.
    Fw,
    /// A chain of a Linux host, between the other two kinds, with both sides mostly networks.
    Ipc,
}

impl FilterKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Acl, Self::Fw, Self::Ipc];

    /// The name, as in the names of ClassBench's files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::Fw => "fw",
            Self::Ipc => "ipc",
        }
    }

    pub(super) const fn profile(self) -> &'static FilterProfile {
        match self {
            Self::Acl => &ACL,
            Self::Fw => &FW,
            Self::Ipc => &IPC,
        }
    }
}

/// The distributions of a kind. Weights are relative to their sum.
pub(super) struct FilterProfile {
    /// The joint distribution of how specific source and destination are.
    pub(super) sides: &'static [(u32, (Side, Side))],
    /// The spread of sources, in per mille, see [`AddressTree`](super::addresses::AddressTree).
    pub(super) src_spread: u64,
    /// The spread of destinations.
    pub(super) dst_spread: u64,
    /// The percentage of destinations in the network of their source.
    pub(super) same_site: u64,
    /// Protocols, ports and flags.
    pub(super) upper: UpperProfile,
}

/// How specific one side of a rule is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// Everything, or almost: ClassBench makes some open prefixes one or two bits long.
    Open,
    /// A provider's prefix.
    Wide,
    /// A network.
    Network,
    /// Part of a subnet, as in lists.
    Subnet,
    /// A host, or few.
    Host,
}

impl Side {
    /// Draws a prefix length.
    pub(super) fn length(self, family: Family, random: &mut Random) -> u8 {
        let lengths: &[(u32, u8)] = match (self, family) {
            (Self::Open, _) => &[(66, 0), (30, 1), (4, 2)],
            (Self::Wide, Family::V4) => &[
                (1, 8),
                (1, 11),
                (3, 12),
                (3, 13),
                (2, 14),
                (20, 15),
                (34, 16),
                (25, 17),
                (6, 18),
                (2, 19),
                (3, 20),
            ],
            (Self::Wide, Family::V6) => &[(2, 20), (2, 24), (5, 28), (10, 29), (60, 32), (12, 36)],
            (Self::Network, Family::V4) => {
                &[(5, 21), (15, 22), (33, 23), (29, 24), (15, 25), (3, 26)]
            }
            (Self::Network, Family::V6) => &[(20, 40), (10, 44), (50, 48), (15, 56)],
            (Self::Subnet, Family::V4) => &[(30, 26), (30, 27), (25, 28), (15, 29)],
            (Self::Subnet, Family::V6) => &[(20, 60), (70, 64), (10, 112)],
            (Self::Host, Family::V4) => &[(8, 30), (28, 31), (64, 32)],
            (Self::Host, Family::V6) => &[(4, 126), (10, 127), (86, 128)],
        };
        *Weights::of(lengths).draw(random)
    }
}

const ACL: FilterProfile = FilterProfile {
    sides: &[
        (580, (Side::Host, Side::Host)),
        (60, (Side::Host, Side::Network)),
        (50, (Side::Host, Side::Subnet)),
        (25, (Side::Host, Side::Wide)),
        (90, (Side::Network, Side::Host)),
        (30, (Side::Wide, Side::Host)),
        (35, (Side::Subnet, Side::Host)),
        (40, (Side::Network, Side::Network)),
        (20, (Side::Wide, Side::Wide)),
        (25, (Side::Host, Side::Open)),
        (25, (Side::Open, Side::Host)),
        (12, (Side::Network, Side::Open)),
        (8, (Side::Open, Side::Network)),
    ],
    src_spread: 150,
    dst_spread: 130,
    same_site: 4,
    upper: UpperProfile {
        protocols: &[
            (800, Some(protocol::TCP)),
            (90, Some(protocol::UDP)),
            (82, None),
            (28, Some(protocol::ICMP)),
        ],
        // For protocols with ports.
        ports: &[
            (740, PortPair::AnyExact),
            (130, PortPair::AnyRange),
            (60, PortPair::AnyHigh),
            (70, PortPair::AnyAny),
        ],
        flags: &[(820, (0, 0)), (90, (0x10, 0x10)), (90, (0x00, 0x02))],
        source_ports: &[53, 4000],
        destination_ports: &[
            1521, 514, 161, 80, 1526, 25, 69, 123, 22, 1433, 53, 23, 1221, 14_753, 135, 1525, 3106,
            443, 5600, 9161, 1711, 20_300, 2105, 31_000, 8080, 389, 1550, 5631, 6000, 27_400, 21,
            111, 7000, 554, 5510, 162, 1645, 1812, 9000, 20_555, 179, 139, 445, 513, 1700, 1720,
            3389, 5060, 110, 143,
        ],
        destination_ranges: &[
            (61_300, 61_309),
            (1600, 1649),
            (61_700, 61_709),
            (62_200, 62_239),
            (32_210, 32_219),
            (61_100, 61_119),
            (62_100, 62_109),
            (1300, 1399),
            (137, 138),
            (444, 445),
            (2000, 2001),
            (4120, 5120),
            (6664, 6665),
            (11_021, 11_023),
            (20_000, 20_010),
        ],
    },
};

const FW: FilterProfile = FilterProfile {
    sides: &[
        (560, (Side::Open, Side::Host)),
        (205, (Side::Host, Side::Open)),
        (45, (Side::Host, Side::Host)),
        (35, (Side::Open, Side::Open)),
        (35, (Side::Open, Side::Network)),
        (30, (Side::Open, Side::Subnet)),
        (35, (Side::Network, Side::Open)),
        (20, (Side::Subnet, Side::Open)),
        (15, (Side::Subnet, Side::Subnet)),
        (10, (Side::Network, Side::Host)),
        (10, (Side::Wide, Side::Open)),
    ],
    src_spread: 350,
    dst_spread: 380,
    same_site: 8,
    upper: UpperProfile {
        protocols: &[
            (560, Some(protocol::TCP)),
            (340, Some(protocol::UDP)),
            (45, Some(protocol::GRE)),
            (40, Some(protocol::ICMP)),
            (15, None),
        ],
        ports: &[
            (655, PortPair::AnyExact),
            (130, PortPair::ExactAny),
            (60, PortPair::HighHigh),
            (95, PortPair::AnyAny),
            (30, PortPair::ExactExact),
            (15, PortPair::HighExact),
            (12, PortPair::ExactHigh),
            (3, PortPair::HighRange),
        ],
        flags: &[
            (40, (0, 0)),
            (920, (0x02, 0x12)),
            (10, (0x10, 0x10)),
            (10, (0x04, 0x04)),
            (10, (0x01, 0x01)),
            (10, (0x00, 0x02)),
        ],
        source_ports: &[
            123, 53, 750, 161, 88, 69, 7648, 7007, 24_032, 67, 68, 20, 1645,
        ],
        destination_ports: &[
            22, 80, 53, 25, 123, 443, 544, 2105, 21, 20, 161, 750, 23, 543, 88, 754, 37, 110, 143,
            119, 79, 109, 513, 514, 69, 70, 389, 749, 7648, 24_032, 7000, 7001, 7002, 7003, 7004,
            7007, 6667, 29_000, 5190, 3128, 1494,
        ],
        destination_ranges: &[(33_434, 33_600), (40_000, 65_535)],
    },
};

const IPC: FilterProfile = FilterProfile {
    sides: &[
        (175, (Side::Host, Side::Host)),
        (200, (Side::Network, Side::Network)),
        (165, (Side::Network, Side::Host)),
        (65, (Side::Host, Side::Network)),
        (50, (Side::Network, Side::Subnet)),
        (45, (Side::Subnet, Side::Host)),
        (35, (Side::Subnet, Side::Network)),
        (55, (Side::Wide, Side::Host)),
        (40, (Side::Wide, Side::Wide)),
        (25, (Side::Wide, Side::Network)),
        (25, (Side::Network, Side::Wide)),
        (50, (Side::Open, Side::Host)),
        (50, (Side::Open, Side::Network)),
        (40, (Side::Network, Side::Open)),
        (20, (Side::Host, Side::Open)),
    ],
    src_spread: 160,
    dst_spread: 150,
    same_site: 3,
    upper: UpperProfile {
        protocols: &[
            (385, Some(protocol::UDP)),
            (270, Some(protocol::TCP)),
            (328, None),
            (13, Some(protocol::ICMP)),
            (3, Some(protocol::GRE)),
            (1, Some(50)),
        ],
        ports: &[
            (540, PortPair::AnyExact),
            (252, PortPair::ExactAny),
            (90, PortPair::AnyHigh),
            (37, PortPair::AnyRange),
            (28, PortPair::RangeAny),
            (6, PortPair::ExactExact),
            (5, PortPair::HighAny),
            (2, PortPair::ExactRange),
            (40, PortPair::AnyAny),
        ],
        flags: &[(585, (0, 0)), (410, (0x00, 0x02)), (5, (0x02, 0x02))],
        source_ports: &[
            161, 53, 80, 25, 1433, 22, 143, 123, 69, 514, 5540, 1098, 443, 5510, 110, 1521, 20, 21,
            23, 389, 1645, 1812, 111, 137,
        ],
        destination_ports: &[
            69, 514, 80, 9003, 53, 25, 161, 22, 1433, 123, 443, 5631, 119, 23, 162, 110, 143, 5540,
            1521, 20, 21, 389, 111, 513, 1098, 1494, 3389, 2000, 5900, 873,
        ],
        destination_ranges: &[
            (20, 23),
            (109, 110),
            (1812, 1813),
            (20, 2511),
            (5000, 5001),
            (20, 21),
            (1645, 1646),
        ],
    },
};
