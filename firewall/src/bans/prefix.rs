//! An address or a prefix as people write it.

use std::{fmt, net::IpAddr};

use firewall_ebpf::bans::{Family, Key};

/// A prefix without bits behind its length; an address is one of full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrefixError {
    /// It is none at all.
    #[error("`{0}` is no address and no prefix")]
    NotAPrefix(String),
    /// The address has bits set that the prefix does not cover.
    #[error(
        "`{written}` has bits set behind the prefix length: write `{prefix}` for the network or \
         `{address}` for the single address"
    )]
    HostBits {
        /// As written.
        written: String,
        /// The prefix without those bits.
        prefix: Prefix,
        /// The address alone.
        address: IpAddr,
    },
}

impl Prefix {
    /// The prefix of a single address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self {
            address,
            length: most(address),
        }
    }

    /// Reads `203.0.113.7`, `203.0.113.0/24`, `2001:db8::1` or `2001:db8::/32`.
    pub(crate) fn parse(text: &str) -> Result<Self, PrefixError> {
        let no = || PrefixError::NotAPrefix(text.to_owned());
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let address: IpAddr = address.parse().map_err(|_| no())?;
        let length = match length {
            None => most(address),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| no())?
            }
            Some(_) => return Err(no()),
        };
        if length > most(address) {
            return Err(no());
        }
        let prefix = Self { address, length }.without_host_bits();
        if prefix.address == address {
            Ok(prefix)
        } else {
            Err(PrefixError::HostBits {
                written: text.to_owned(),
                prefix,
                address,
            })
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

    /// Whether every address of the family lies in the prefix.
    pub(crate) fn is_everything(self) -> bool {
        self.length == 0
    }

    fn without_host_bits(self) -> Self {
        Self::of_key(&self.key())
    }
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
            "::ffff:203.0.113.7",
        ] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Prefix::parse("192.0.2.1/32").unwrap().to_string(),
            "192.0.2.1"
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
            "1.2.3.4-1.2.3.5",
            "::1%eth0",
        ] {
            let error = Prefix::parse(text).unwrap_err();
            assert_eq!(error, PrefixError::NotAPrefix(text.to_owned()));
        }
        for text in [
            "203.0.113.7/24",
            "2001:db8::1/64",
            "2001:db8::1/127",
            "1.0.0.0/0",
        ] {
            let error = Prefix::parse(text).unwrap_err();
            assert!(matches!(error, PrefixError::HostBits { .. }), "{error}");
        }
    }

    #[test]
    fn a_prefix_covers_the_addresses_of_its_family_that_begin_like_it() {
        let covers = |prefix: &str, address: &str| {
            Prefix::parse(prefix)
                .unwrap()
                .covers(address.parse().unwrap())
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
