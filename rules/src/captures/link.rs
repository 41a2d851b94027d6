//! Link layers, and how the packets of each become Ethernet frames.
//!
//! This module knows headers of links, as <https://www.tcpdump.org/linktypes.html> describes them,
//! and nothing of files.

/// The bytes of an Ethernet header without tags.
const ETHERNET: usize = 14;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const PPPOE_SESSION: u16 = 0x8864;

/// A link layer whose packets can be read as Ethernet frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkLayer {
    /// Ethernet.
    Ethernet,
    /// No header: IPv4 or IPv6, as its version says.
    Raw,
    /// No header: packets of this EtherType.
    Only(u16),
    /// The number of an address family in 4 bytes, in the byte order of some machine (loopback
    /// interfaces of BSD).
    Family,
    /// What Linux says in the stead of a link's header: on all interfaces together, for example.
    Cooked,
    /// Its second version.
    Cooked2,
}

impl LinkLayer {
    /// The link layer of this number.
    pub(super) const fn of(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            0 | 108 => Self::Family,
            // The last two in files of some systems.
            101 | 12 | 14 => Self::Raw,
            228 => Self::Only(IPV4),
            229 => Self::Only(IPV6),
            51 => Self::Only(PPPOE_SESSION),
            113 => Self::Cooked,
            276 => Self::Cooked2,
            _ => return None,
        })
    }

    /// The bytes of its header.
    const fn header(self) -> usize {
        match self {
            Self::Ethernet => ETHERNET,
            Self::Raw | Self::Only(_) => 0,
            Self::Family => 4,
            Self::Cooked => 16,
            Self::Cooked2 => 20,
        }
    }

    /// The Ethernet frame that carries what a packet carries; `None` for what Ethernet does not.
    ///
    /// A header that is cut off becomes a frame without a byte. Addresses that the link does not
    /// have are 0.
    pub(super) fn frame(self, packet: &[u8]) -> Option<Vec<u8>> {
        let Some((header, payload)) = packet.split_at_checked(self.header()) else {
            return Some(match self {
                Self::Ethernet => packet.to_vec(),
                Self::Raw | Self::Only(_) | Self::Family | Self::Cooked | Self::Cooked2 => {
                    Vec::new()
                }
            });
        };
        let (ethertype, source) = match self {
            Self::Ethernet => return Some(packet.to_vec()),
            Self::Only(ethertype) => (ethertype, None),
            Self::Raw => (by_version(payload), None),
            Self::Family => (by_family(header)?, None),
            Self::Cooked => (
                protocol(header, 14, payload)?,
                address(header, 4, header.get(6..)?),
            ),
            Self::Cooked2 => (
                protocol(header, 0, payload)?,
                address(&[0, *header.get(11)?], 0, header.get(12..)?),
            ),
        };
        let source = source.unwrap_or_default();
        Some([&[0; 6], &source[..], &ethertype.to_be_bytes(), payload].concat())
    }

    /// The bytes of the Ethernet frame of a packet that has so many.
    pub(super) const fn frame_len(self, packet: usize) -> usize {
        match self {
            Self::Ethernet => packet,
            Self::Raw | Self::Only(_) | Self::Family | Self::Cooked | Self::Cooked2 => {
                packet.saturating_sub(self.header()) + ETHERNET
            }
        }
    }
}

/// The EtherType of an IP packet.
fn by_version(packet: &[u8]) -> u16 {
    match packet.first() {
        Some(first) if first >> 4 == 6 => IPV6,
        Some(_) | None => IPV4,
    }
}

/// The EtherType of packets of an address family, which for IPv6 has another number on each system.
fn by_family(header: &[u8]) -> Option<u16> {
    let number: [u8; 4] = header.try_into().ok()?;
    let number = match u32::from_le_bytes(number) {
        little @ 0..=0xffff => little,
        _ => u32::from_be_bytes(number),
    };
    match number {
        2 => Some(IPV4),
        10 | 24 | 28 | 30 => Some(IPV6),
        _ => None,
    }
}

/// The EtherType that a header of Linux says; what has none, as IEEE 802.3 frames, has a length
/// instead.
fn protocol(header: &[u8], at: usize, payload: &[u8]) -> Option<u16> {
    /// `ETH_P_802_3` and `ETH_P_802_2`, `include/uapi/linux/if_ether.h`.
    const WITHOUT_ETHERTYPE: [u16; 2] = [1, 4];
    const MAX_LENGTH: usize = 1500;
    let number = half(header, at)?;
    if WITHOUT_ETHERTYPE.contains(&number) {
        return Some(payload.len().min(MAX_LENGTH) as u16);
    }
    // Other small numbers are those of protocols that Ethernet does not carry.
    (usize::from(number) > MAX_LENGTH).then_some(number)
}

/// The source address, if it is as long as one of Ethernet.
fn address(length: &[u8], at: usize, bytes: &[u8]) -> Option<[u8; 6]> {
    let is_mac = half(length, at)? == 6;
    bytes.first_chunk().copied().filter(|_| is_mac)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}
