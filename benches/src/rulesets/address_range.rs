//! Ranges of addresses.

use std::{fmt, net::IpAddr};

use super::{Family, Prefix, family::number};

/// Addresses of one family from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// The range with these ends; `None` if they differ in family or the last is below the first.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let is_one = Family::of(first) == Family::of(last) && first <= last;
        is_one.then_some(Self { first, last })
    }

    /// The range of one address.
    #[must_use]
    pub const fn single(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
        }
    }

    /// The first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub const fn last(self) -> IpAddr {
        self.last
    }

    /// The family of the addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.first)
    }

    /// Whether the range holds `address`.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.family() == Family::of(address) && self.first <= address && address <= self.last
    }

    /// The range extended to `last`, an address of its family, if that is greater.
    pub(super) fn until(self, last: IpAddr) -> Self {
        Self {
            first: self.first,
            last: self.last.max(last),
        }
    }

    /// The prefix that is this range, if there is one.
    #[must_use]
    pub fn as_prefix(self) -> Option<Prefix> {
        let differing = number(self.first) ^ number(self.last);
        let open = u128::BITS - differing.leading_zeros();
        let length = self.family().bits().checked_sub(u8::try_from(open).ok()?)?;
        let prefix = Prefix::new(self.first, length)?;
        (prefix.first() == self.first && prefix.last() == self.last).then_some(prefix)
    }

    /// The minimum list of prefixes that together are this range, in ascending order.
    #[must_use]
    pub fn prefixes(self) -> Vec<Prefix> {
        let family = self.family();
        let last = number(self.last);
        let mut prefixes = Vec::new();
        let mut next = Some(number(self.first));
        while let Some(first) = next.filter(|first| *first <= last) {
            // As long as the bits after the prefix are all clear in its first address and the last
            // one is not beyond that of the range.
            let prefix = (0..=family.bits())
                .filter_map(|length| Prefix::new(family.address(first), length))
                .find(|prefix| {
                    prefix.first() == family.address(first) && prefix.last() <= self.last
                });
            next = prefix.and_then(|prefix| number(prefix.last()).checked_add(1));
            prefixes.extend(prefix);
        }
        prefixes
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        Self {
            first: prefix.first(),
            last: prefix.last(),
        }
    }
}

/// The form of list files: an address, a prefix, or else `first-last`.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_prefix() {
            Some(prefix) if prefix.is_host() => write!(f, "{}", self.first),
            Some(prefix) => write!(f, "{prefix}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_prefixes_they_are_made_of() {
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap();
            AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
        };
        for (text, prefixes) in [
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("192.0.2.1-192.0.2.1", "192.0.2.1/32"),
            (
                "192.0.2.1-192.0.2.6",
                "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32",
            ),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("::ffff-::1:1", "::ffff/128 ::1:0/127"),
        ] {
            let found: Vec<_> = range(text)
                .prefixes()
                .iter()
                .map(Prefix::to_string)
                .collect();
            assert_eq!(found.join(" "), prefixes);
        }
    }
}
