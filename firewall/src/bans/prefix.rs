//! Prefixes of addresses, which are what is banned.

use std::{fmt, net::IpAddr};

use firewall_ebpf::bans::{Family, Key};
use rules::{
    field::{AddressRange, address},
    language::lists::LineError,
};

/// A prefix without bits behind its length; an address is one of full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of a single address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self {
            address,
            length: most(address),
        }
    }

    /// The prefix that a key is for.
    pub(crate) fn of_key(key: &Key) -> Self {
        let address = match key.family() {
            Family::V4 => IpAddr::from(((key.high >> 32) as u32).to_be_bytes()),
            Family::V6 => {
                IpAddr::from((u128::from(key.high) << 64 | u128::from(key.low)).to_be_bytes())
            }
        };
        let length = key.length();
        Self { address, length }
    }

    /// The key of the prefix.
    pub(crate) fn key(self) -> Key {
        let (family, high, low) = halves(self.address);
        Key::new(family, high, low, self.length)
    }

    /// The only address in the prefix.
    pub(crate) fn single(self) -> Option<IpAddr> {
        (self.length == most(self.address)).then_some(self.address)
    }

    /// Whether an address lies in the prefix.
    pub(crate) fn covers(self, address: IpAddr) -> bool {
        let key = self.key();
        let (family, high, low) = halves(address);
        family == key.family() && Key::new(family, high, low, self.length) == key
    }
}

/// The prefixes that a text names: an address or a prefix is one, a range can be several.
///
/// # Errors
///
/// When the text is none of them, in words.
pub(crate) fn read_prefixes(text: &str) -> Result<Vec<Prefix>, String> {
    address::read(text.as_bytes())
        .map(|addresses| prefixes_of(addresses.range))
        .map_err(|error| LineError::Address(error).about(text.as_bytes()))
}

/// The prefixes that cover a range and nothing else.
pub(crate) fn prefixes_of(range: AddressRange) -> Vec<Prefix> {
    let prefixes = range.prefixes();
    prefixes
        .map(|(address, length)| Prefix { address, length })
        .collect()
}

/// An address in the form of a key.
pub(crate) fn halves(address: IpAddr) -> (Family, u64, u64) {
    match address {
        IpAddr::V4(address) => (Family::V4, u64::from(address.to_bits()) << 32, 0),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (Family::V6, (bits >> 64) as u64, bits as u64)
        }
    }
}

fn most(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == most(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let prefixes = read_prefixes(text).unwrap();
        prefixes.iter().map(Prefix::to_string).collect()
    }

    #[test]
    fn prefixes_are_written_as_they_are_read() {
        for text in [
            "203.0.113.7",
            "203.0.113.0/24",
            "0.0.0.0/0",
            "128.0.0.0/1",
            "2001:db8::1",
            "2001:db8::/32",
            "2001:db8::/64",
            "2001:db8:0:0:8000::/65",
            "::/0",
        ] {
            assert_eq!(shown(text), [text]);
        }
        assert_eq!(shown("192.0.2.1/32"), ["192.0.2.1"]);
        assert_eq!(shown("::ffff:203.0.113.7"), ["203.0.113.7"]);
    }

    #[test]
    fn a_range_is_the_prefixes_that_cover_it() {
        assert_eq!(
            shown("192.0.2.1 - 192.0.2.6"),
            ["192.0.2.1", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6"]
        );
        assert_eq!(shown("0.0.0.0-255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(
            shown("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ["::/0"]
        );
        assert_eq!(
            shown("255.255.255.254-255.255.255.255"),
            ["255.255.255.254/31"]
        );
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in [
            "",
            "a",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "::/129",
            "::1/128/1",
            " 1.2.3.4",
            "1.2.3.4 ",
            "::1%eth0",
            "::ffff:0:0/96",
            "203.0.113.7/24",
            "2001:db8::1/64",
            "2001:db8::1/127",
            "1.0.0.0/0",
        ] {
            assert!(read_prefixes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_covers_the_addresses_of_its_family_that_begin_like_it() {
        let covers = |prefix: &str, address: &str| {
            let prefixes = read_prefixes(prefix).unwrap();
            prefixes[0].covers(address.parse().unwrap())
        };
        assert!(covers("203.0.113.0/24", "203.0.113.255"));
        assert!(!covers("203.0.113.0/24", "203.0.114.0"));
        assert!(covers("2001:db8::/65", "2001:db8::7fff:0:0:1"));
        assert!(!covers("2001:db8::/65", "2001:db8::8000:0:0:1"));
        assert!(covers("0.0.0.0/0", "255.0.0.1"));
        assert!(!covers("0.0.0.0/0", "::1"));
        assert!(!covers("::/0", "0.0.0.0"));
    }
}
