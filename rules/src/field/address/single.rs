//! The text form of a single address.

use std::{net::Ipv6Addr, str};

use super::error::AddressError;

/// An address of either family as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single {
    /// IPv4.
    V4(u32),
    /// IPv6.
    V6(u128),
}

impl Single {
    /// The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2).
    pub(super) fn mapped(self) -> Option<u32> {
        match self {
            Self::V6(address) if address >> 32 == 0xffff => Some(address as u32),
            Self::V4(_) | Self::V6(_) => None,
        }
    }
}

/// Reads an address and nothing else.
pub(super) fn single(text: &[u8]) -> Result<Single, AddressError> {
    if let Some((address, [])) = ipv4(text) {
        return Ok(Single::V4(address));
    }
    if let Some(address) = ipv6(text) {
        return Ok(Single::V6(address));
    }
    if let Ok(text) = str::from_utf8(text)
        && let Ok(address) = text.parse::<Ipv6Addr>()
    {
        return Ok(Single::V6(address.to_bits()));
    }
    Err(if has_leading_zero(text) {
        AddressError::LeadingZero
    } else if text.contains(&b'%') {
        AddressError::Zone
    } else {
        AddressError::NotAnAddress
    })
}

/// Reads an IPv4 address at the start of `text`; returns its number and the rest of the text, which
/// does not begin with a digit. `None` for anything that `Ipv4Addr` would not read, and if a dot
/// follows.
pub(crate) fn ipv4(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut address = 0;
    let mut rest = text;
    for index in 0..4 {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (first, mut after) = rest.split_first()?;
        let mut octet = digit(*first)?;
        while let Some((next, tail)) = after.split_first()
            && let Some(next) = digit(*next)
        {
            if octet == 0 {
                return None;
            }
            octet = octet * 10 + next;
            if octet > 255 {
                return None;
            }
            after = tail;
        }
        address = address << 8 | octet;
        rest = after;
    }
    (rest.first() != Some(&b'.')).then_some((address, rest))
}

/// Reads an IPv6 address without an embedded IPv4 address, several times as fast as `Ipv6Addr`.
/// `None` for all other texts, which `Ipv6Addr` then reads.
fn ipv6(text: &[u8]) -> Option<u128> {
    let mut address: u128 = 0;
    let mut groups = 0;
    let mut groups_before_gap = None;
    let mut rest = text;
    if let [b':', b':', tail @ ..] = rest {
        groups_before_gap = Some(0);
        rest = tail;
    }
    while !rest.is_empty() {
        let mut group = 0;
        let mut digits = 0;
        while let [byte, tail @ ..] = rest
            && let Some(digit) = char::from(*byte).to_digit(16)
        {
            group = group << 4 | digit;
            digits += 1;
            rest = tail;
            if digits > 4 {
                return None;
            }
        }
        if digits == 0 || groups == 8 {
            return None;
        }
        address = address << 16 | u128::from(group);
        groups += 1;
        rest = match rest {
            [] => rest,
            [b':', b':', tail @ ..] if groups_before_gap.is_none() => {
                groups_before_gap = Some(groups);
                tail
            }
            [b':', tail @ ..] if !tail.is_empty() => tail,
            _ => return None,
        };
    }
    match groups_before_gap {
        None => (groups == 8).then_some(address),
        // The gap stands for at least one group.
        Some(_) if groups == 8 => None,
        Some(before) => {
            let after = 16 * (groups - before);
            let head = (address >> after)
                .checked_shl(128 - 16 * before)
                .unwrap_or(0);
            Some(head | address & ((1 << after) - 1))
        }
    }
}

/// Whether the text would be an IPv4 address without its leading zeros.
fn has_leading_zero(text: &[u8]) -> bool {
    let octets = || text.split(|byte| *byte == b'.');
    let numeric = |octet: &[u8]| !octet.is_empty() && octet.iter().all(u8::is_ascii_digit);
    octets().count() == 4
        && octets().all(numeric)
        && octets().any(|octet| octet.len() > 1 && octet.starts_with(b"0"))
}

/// The value of a decimal digit.
pub(super) fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}
