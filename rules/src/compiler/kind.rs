//! The kinds of packets, each with a section of its own for each direction.

use std::fmt;

use firewall_ebpf::image::{SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, section_offset};

use crate::model::Direction;

/// A kind of packet, with a section of its own for each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Every other EtherType.
    Other,
}

/// What a section is for: packets of one kind that go in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionKind {
    /// The direction.
    pub direction: Direction,
    /// The kind of packets.
    pub packets: PacketKind,
}

impl SectionKind {
    /// The offset of the section in every image.
    pub(super) const fn offset(self) -> u32 {
        let section = match self.packets {
            PacketKind::Ipv4 => SECTION_IPV4,
            PacketKind::Ipv6 => SECTION_IPV6,
            PacketKind::Other => SECTION_OTHER,
        };
        section_offset(self.direction, section)
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Other => "other",
        })
    }
}

/// In the form that precedes "packets".
impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::In => write!(f, "{}", self.packets),
            Direction::Out => write!(f, "outgoing {}", self.packets),
        }
    }
}
