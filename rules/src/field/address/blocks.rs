//! Blocks of addresses that are no hosts of the internet.

use super::range::AddressRange;

/// The blocks (RFC 6890), and their kinds.
pub(crate) const BLOCKS: &[(AddressRange, &str)] = &[
    (v4([10, 0, 0, 0], 8), "private addresses"),
    (v4([172, 16, 0, 0], 12), "private addresses"),
    (v4([192, 168, 0, 0], 16), "private addresses"),
    (v4([100, 64, 0, 0], 10), "addresses of a provider's network"),
    (v4([169, 254, 0, 0], 16), "link-local addresses"),
    (v4([224, 0, 0, 0], 4), "multicast addresses"),
    (v6(0xfc00, 7), "private addresses"),
    (v6(0xfe80, 10), "link-local addresses"),
    (v6(0xff00, 8), "multicast addresses"),
];

/// The length of a prefix, in bits, that is an eighth of its family.
const EIGHTH: u32 = 3;

const fn v4(octets: [u8; 4], length: u32) -> AddressRange {
    let first = u32::from_be_bytes(octets);
    AddressRange::V4(first, first | u32::MAX >> length)
}

const fn v6(group: u128, length: u32) -> AddressRange {
    let first = group << 112;
    AddressRange::V6(first, first | u128::MAX >> length)
}

impl AddressRange {
    /// Whether it is an eighth of its family or more.
    pub(crate) fn is_large(self) -> bool {
        match self {
            Self::V4(first, last) => last - first >= u32::MAX >> EIGHTH,
            Self::V6(first, last) => last - first >= u128::MAX >> EIGHTH,
        }
    }

    /// A description of a range that is rarely meant: all of a family, an eighth of it, or a whole block of private,
    /// link-local or multicast addresses.
    #[must_use]
    pub fn breadth(self) -> Option<&'static str> {
        if matches!(
            self,
            Self::V4(u32::MIN, u32::MAX) | Self::V6(u128::MIN, u128::MAX)
        ) {
            return Some("every address");
        }
        if self.is_large() {
            return Some("an eighth or more of all addresses");
        }
        let block = BLOCKS.iter().find(|(block, _)| match (self, *block) {
            (Self::V4(first, last), Self::V4(low, high)) => first <= low && high <= last,
            (Self::V6(first, last), Self::V6(low, high)) => first <= low && high <= last,
            (Self::V4(..), Self::V6(..)) | (Self::V6(..), Self::V4(..)) => false,
        });
        block.map(|(_, what)| *what)
    }
}
