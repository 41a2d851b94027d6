//! Ranges of addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An inclusive range of addresses of one family, each as its number in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressRange {
    /// IPv4.
    V4(u32, u32),
    /// IPv6.
    V6(u128, u128),
}

impl AddressRange {
    /// The prefixes that exactly cover the range, from the lowest address up: each as its first
    /// address and its length.
    pub fn prefixes(self) -> impl Iterator<Item = (IpAddr, u8)> {
        let (first, last, width) = match self {
            Self::V4(first, last) => (first.into(), last.into(), u32::BITS),
            Self::V6(first, last) => (first, last, u128::BITS),
        };
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let first = next.filter(|first| *first <= last)?;
            // The largest block that starts here and does not end after the range.
            let mut host = first.trailing_zeros().min(width);
            while block_end(first, host) > last {
                host -= 1;
            }
            next = block_end(first, host).checked_add(1);
            let address = match self {
                Self::V4(..) => IpAddr::V4(Ipv4Addr::from_bits(first as u32)),
                Self::V6(..) => IpAddr::V6(Ipv6Addr::from_bits(first)),
            };
            // At most the width of an address, which is 128.
            Some((address, (width - host) as u8))
        })
    }
}

/// The last address of the block of `host` bits that starts at `first`.
fn block_end(first: u128, host: u32) -> u128 {
    first | !u128::MAX.checked_shl(host).unwrap_or(0)
}

impl fmt::Display for AddressRange {
    /// Writes an address or a prefix if the range is one, otherwise a range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut prefixes = self.prefixes();
        let (first, last): (IpAddr, IpAddr) = match *self {
            Self::V4(first, last) => (
                Ipv4Addr::from_bits(first).into(),
                Ipv4Addr::from_bits(last).into(),
            ),
            Self::V6(first, last) => (
                Ipv6Addr::from_bits(first).into(),
                Ipv6Addr::from_bits(last).into(),
            ),
        };
        match (prefixes.next(), prefixes.next()) {
            _ if first == last => write!(f, "{first}"),
            (Some((address, length)), None) => write!(f, "{address}/{length}"),
            (_, _) => write!(f, "{first}-{last}"),
        }
    }
}
