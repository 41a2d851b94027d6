//! Address prefixes of either family.

use std::{fmt, net::IpAddr};

use super::family::{Family, number};

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    first: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that holds `address`, whose other bits are cleared; `None` when
    /// the family has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let family = Family::of(address);
        let open = family.last() & !network_mask(family, length)?;
        Some(Self {
            first: family.address(number(address) & !open),
            length,
        })
    }

    /// The prefix of one address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self {
            first: address,
            length: Family::of(address).bits(),
        }
    }

    /// The prefix of all addresses of a family.
    #[must_use]
    pub fn any(family: Family) -> Self {
        Self {
            first: family.address(0),
            length: 0,
        }
    }

    /// The family of its addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.first)
    }

    /// The bits that its addresses share.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.family().address(number(self.first) | self.host_mask())
    }

    /// The bits of an address that differ within the prefix.
    #[must_use]
    pub fn host_mask(self) -> u128 {
        let family = self.family();
        // The length was checked when the prefix was made.
        family.last() & !network_mask(family, self.length).unwrap_or(0)
    }

    /// Whether the prefix holds `address`, which is false for an address of the other family.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        Family::of(address) == self.family()
            && (number(address) ^ number(self.first)) & !self.host_mask() == 0
    }

    /// Whether the prefix holds every address of its family.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.length == 0
    }

    /// Whether the prefix holds one address.
    #[must_use]
    pub const fn is_host(self) -> bool {
        self.length == self.family().bits()
    }
}

/// The first `length` bits of an address; `None` when there are fewer.
fn network_mask(family: Family, length: u8) -> Option<u128> {
    let open = family.bits().checked_sub(length)?;
    Some(family.last() & u128::MAX.checked_shl(open.into()).unwrap_or(0))
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
    }

    #[test]
    fn prefixes_hold_what_begins_with_their_bits() {
        for (text, shown, last) in [
            ("192.0.2.129/25", "192.0.2.128/25", "192.0.2.255"),
            ("192.0.2.1/32", "192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.1/0", "0.0.0.0/0", "255.255.255.255"),
            ("2001:db8::1/127", "2001:db8::/127", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1/128", "2001:db8::1"),
            ("::1/0", "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let prefix = prefix(text);
            assert_eq!(prefix.to_string(), shown);
            assert_eq!(prefix.last().to_string(), last);
            assert!(prefix.contains(prefix.first()) && prefix.contains(prefix.last()));
            let family = prefix.family();
            let beside = [
                family.address(number(prefix.first()).wrapping_sub(1)),
                family.address(number(prefix.last()).wrapping_add(1)),
            ];
            assert!(prefix.is_any() || beside.iter().all(|address| !prefix.contains(*address)));
        }
        assert!(!prefix("0.0.0.0/0").contains("::".parse().unwrap()));
    }

    #[test]
    fn a_prefix_is_not_longer_than_an_address() {
        assert_eq!(Prefix::new([0; 4].into(), 33), None);
        assert_eq!(Prefix::new([0; 16].into(), 129), None);
    }
}
