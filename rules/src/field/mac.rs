//! MAC addresses: their bound, and the text form of a single one, a prefix, or a range.
//!
//! This module owns the grammar. It does not know where the text comes from.

use std::fmt;

use crate::text::{hexadecimal, number};

/// The largest MAC address.
pub const MAX_MAC: u64 = (1 << 48) - 1;

/// A MAC address as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub u64);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        f.write_str(&hexadecimal::mac(bytes))
    }
}

/// The bits of a MAC address.
const BITS: u32 = 48;

/// The reason why a text is not a MAC address, a prefix or a range of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MacError {
    /// It has none of these forms.
    #[error("expected a MAC address, a prefix or a range of MAC addresses")]
    NotAMac,
    /// The text after the slash is not a prefix length.
    #[error("the length of a MAC prefix is a number from 0 to {BITS}")]
    PrefixLength,
    /// The address has bits set that the prefix does not cover.
    #[error("the address has bits set behind the prefix length")]
    HostBits {
        /// The address.
        address: u64,
        /// The first address of the prefix.
        first: u64,
        /// The length of the prefix.
        length: u32,
    },
    /// The range ends before it starts.
    #[error("the range ends before it starts")]
    Backwards,
}

impl MacError {
    /// How to fix it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::NotAMac => Some(
                "write six pairs of hexadecimal digits, `02:00:00:00:00:01`, or a prefix, \
                 `02:00:00:00:00:00/24`"
                    .to_owned(),
            ),
            Self::HostBits {
                address,
                first,
                length,
            } => Some(format!(
                "write `{}/{length}` for the prefix or `{}` for the single address",
                Mac(*first),
                Mac(*address)
            )),
            Self::Backwards => Some("write the lower address first".to_owned()),
            Self::PrefixLength => None,
        }
    }
}

/// Reads an address (`02:00:00:00:00:01`), a prefix (`00:1b:21:00:00:00/24`) or a range
/// (`02:00:00:00:00:01-02:00:00:00:00:09`), both ends included, as numbers of 48 bits.
pub(crate) fn parse(text: &str) -> Result<(u64, u64), MacError> {
    if let Some((address, length)) = text.split_once('/') {
        return prefix(single(address)?, length);
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (single(first)?, single(last)?),
        None => {
            let address = single(text)?;
            (address, address)
        }
    };
    if first > last {
        return Err(MacError::Backwards);
    }
    Ok((first, last))
}

fn prefix(address: u64, length: &str) -> Result<(u64, u64), MacError> {
    let length = number::single::<u32>(length)
        .ok()
        .filter(|length| *length <= BITS)
        .ok_or(MacError::PrefixLength)?;
    let host = (1_u64 << (BITS - length)) - 1;
    if address & host != 0 {
        return Err(MacError::HostBits {
            address,
            first: address & !host,
            length,
        });
    }
    Ok((address, address | host))
}

fn single(text: &str) -> Result<u64, MacError> {
    let mut address = 0;
    let mut bytes = 0;
    for pair in text.split(':') {
        let is_pair = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_pair || bytes == 6 {
            return Err(MacError::NotAMac);
        }
        let byte = u64::from_str_radix(pair, 16).map_err(|_| MacError::NotAMac)?;
        address = address << 8 | byte;
        bytes += 1;
    }
    if bytes < 6 {
        return Err(MacError::NotAMac);
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_ranges_are_read() {
        for (text, first, last) in [
            ("02:00:00:00:00:01", 0x0200_0000_0001, 0x0200_0000_0001),
            ("AA:bb:CC:dd:EE:0f", 0xaabb_ccdd_ee0f, 0xaabb_ccdd_ee0f),
            ("00:1b:21:00:00:00/24", 0x001b_2100_0000, 0x001b_21ff_ffff),
            ("01:00:00:00:00:00/8", 0x0100_0000_0000, 0x01ff_ffff_ffff),
            ("00:00:00:00:00:00/0", 0, 0xffff_ffff_ffff),
            ("ff:ff:ff:ff:ff:ff/48", 0xffff_ffff_ffff, 0xffff_ffff_ffff),
            ("00:00:00:00:00:01-00:00:00:00:01:00", 1, 256),
        ] {
            assert_eq!(parse(text), Ok((first, last)), "{text}");
        }
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "02-00-00-00-00-01",
            "0200.0000.0001",
            "02:00:00:00:00:0g",
            "02:00:00:00:00:+1",
            "00:1b:21:*",
            "02:00:00:00:00:01-",
        ] {
            assert_eq!(parse(text), Err(MacError::NotAMac), "{text}");
        }
        for length in ["49", "", "024", "ff:ff:ff:00:00:00", "-1"] {
            let text = format!("00:1b:21:00:00:00/{length}");
            assert_eq!(parse(&text), Err(MacError::PrefixLength), "{text}");
        }
        let backwards = "00:00:00:00:00:02-00:00:00:00:00:01";
        assert_eq!(parse(backwards), Err(MacError::Backwards));
        let help = parse("00:1b:21:00:0a:00/24").unwrap_err().help().unwrap();
        assert!(help.contains("`00:1b:21:00:00:00/24`") && help.contains("`00:1b:21:00:0a:00`"));
    }
}
